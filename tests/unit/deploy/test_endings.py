"""Every end of a command leaves a sentence and an exit code, whatever was raised and whatever hangs."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest

from deploy.cli import endings
from deploy.cli.context import say
from deploy.cli.endings import Bug, ended
from deploy.errors import CommandError, Refused, Unreachable, Usage
from tests.support.engine import ROOT

PRELUDE = """
import asyncio, signal, sys, threading, time
import click
from deploy.cli import endings, main
from deploy.cli.context import say
from deploy.cli.parts import run_together
from deploy.errors import Refused

def command(function):
    main.COMMANDS["x"] = ("x", "")
    main.LazyGroup.get_command = lambda *_: click.Command("x", callback=function)
    sys.argv = ["msgmetrics", "x"]
    main.main()
"""


def run(script: str, *, shell: str = "{}", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, by a shell's command line."""
    words = f"'{sys.executable}' -c '{PRELUDE}{textwrap.dedent(script)}'"
    return subprocess.run(
        ["bash", "-c", shell.format(words)], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (CommandError("one\ntwo \x1b[2J"), 1, "msgmetrics: one\ntwo \\x1b[2J\n"),
        (Usage("no"), 2, "msgmetrics: no\n"),
        (Unreachable("away"), 3, "msgmetrics: away\n"),
        (Refused("must not be"), 4, "msgmetrics: must not be\n"),
        (click.UsageError("no \x9b such"), 2, "Error: no \\x9b such\n"),
        (click.Abort(), 130, "msgmetrics: interrupted\n"),
        (KeyboardInterrupt(), 130, "msgmetrics: interrupted\n"),
        (SystemExit(7), 7, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_an_end_is_a_code_and_a_sentence(
    error: BaseException, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error) == code
    assert capsys.readouterr() == ("", sentence)


def raised(error: Exception) -> Exception:
    """The error with a trace, as a command would let it through."""
    try:
        try:
            raise error
        except OSError as cause:
            raise Bug from cause
    except Exception as found:
        return found


@pytest.mark.parametrize("error", [ZeroDivisionError("by\nzero\x1b"), BrokenPipeError("a server"), MemoryError()])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_bug_is_one_sentence_and_its_trace_is_kept(
    error: Exception,
    terminal: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(endings, "is_terminal", lambda: terminal)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ended(raised(error)) == 1
    sentence, *trace = capsys.readouterr().err.splitlines()
    assert sentence.startswith("msgmetrics: a bug ended the command (")
    assert type(error).__name__ in sentence
    assert "\x1b" not in sentence
    files = list(tmp_path.iterdir())
    assert bool(files) == terminal != bool(trace)
    kept = files[0].read_text() if terminal else "\n".join(trace)
    assert "in raised" in kept
    assert not files or (str(files[0]) in sentence and files[0].stat().st_mode & 0o077 == 0)


def test_a_bug_where_no_file_can_be_made_prints_its_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "is_terminal", lambda: True)
    monkeypatch.setattr("tempfile.tempdir", "/no/such/directory")
    assert ended(raised(ZeroDivisionError())) == 1
    assert "in raised" in capsys.readouterr().err


def test_what_click_would_end_without_a_word_is_a_bug() -> None:
    for error in ("BrokenPipeError", "EOFError"):
        done = run(f"def f(): raise {error}(32)\ncommand(f)")
        assert done.returncode == 1
        assert f"a bug ended the command ({error}" in done.stderr


@pytest.mark.parametrize("piped", ["{} | head -1", "{} 2>&1 | head -1"])
def test_an_output_that_nobody_reads_to_the_end_ends_quietly(piped: str) -> None:
    script = """
        def f():
            while True:
                say("x" * 1000)
        command(f)
    """
    done = run(script, shell=f"set -o pipefail; {piped}")
    assert (done.returncode, done.stderr, done.stdout) == (endings.READER_GONE, "", "x" * 1000 + "\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_an_output_that_cannot_be_written_is_no_bug() -> None:
    done = run('def f(): say("x")\ncommand(f)', shell="{} > /dev/full")
    assert (done.returncode, done.stdout) == (endings.PROBLEM, "")
    assert done.stderr.startswith("msgmetrics: the output cannot be written (No space left on device)")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("stdin", ["<&-", "</dev/null"])
def test_a_question_that_nobody_can_answer_is_answered_with_no(stdin: str) -> None:
    done = run('from deploy.cli.context import confirm\ncommand(lambda: confirm("really?"))', shell="{} " + stdin)
    assert done.returncode == Refused.exit_code
    assert done.stderr.splitlines()[-1].startswith("msgmetrics: this was not confirmed, so nothing was done; --yes")


def test_ctrl_c_at_a_question_is_an_interruption() -> None:
    script = """
        from deploy.cli.context import confirm
        click.termui.visible_prompt_func = lambda _: signal.raise_signal(signal.SIGINT)
        command(lambda: confirm("really?"))
    """
    done = run(script)
    assert done.returncode == endings.INTERRUPTED
    assert done.stderr.splitlines()[-1] == "msgmetrics: interrupted; nothing was done"


def test_the_choices_of_an_option_that_is_missing_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    option = click.Option(["--tier"], type=click.Choice(["payg", "growth"]), required=True)
    assert ended(click.MissingParameter(param=option)) == endings.WRONG_USAGE
    assert capsys.readouterr().err == "Error: Missing option '--tier'. Choose from: payg, growth\n"


def test_a_stderr_that_nobody_reads_keeps_the_exit_code_of_a_failure() -> None:
    done = run('def f(): raise Refused("no")\ncommand(f)', shell="{} 2>&-")
    assert done.returncode == 4


def test_ctrl_c_ends_in_order_and_a_second_one_at_once() -> None:
    script = """
        def f():
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                say("leaving")
                signal.raise_signal(signal.SIGINT)
                if sys.stdin.readline():
                    endings.SAME_SECONDS = 0
                    signal.raise_signal(signal.SIGINT)
        command(f)
    """
    done = run(script, shell="{} < /dev/null")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "leaving\n", "msgmetrics: interrupted")
    done = run(script, shell="echo | {}")
    assert (done.stdout, "interrupted" in done.stderr) == ("leaving\n", False)
    assert done.returncode == 128 + signal.SIGINT


def test_a_narrow_terminal_is_no_reason_to_fail() -> None:
    done = run('command(lambda: say("\\u2026"))', PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stdout) == (0, "\\u2026\n")


# -- parts that live and end together ---------------------------------------------------------------------------------

HANGING = """
async def hang(stop):
    threading.Thread(target=time.sleep, args=(60,)).start()
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def live(stop):
    await stop.wait()
    say("in order")

from deploy.cli import parts
parts.LEAVE_SECONDS = 0.2
"""


@pytest.mark.parametrize(
    ("dying", "reason"),
    [
        ('raise Refused("no port")', "dying ended: no port"),
        ("raise SystemExit(1)", "dying ended because of a bug (SystemExit: 1)"),
        ("raise KeyboardInterrupt", "dying ended because of a bug (KeyboardInterrupt"),
        ("{}[0]", "dying ended because of a bug (KeyError: 0)"),
        ("return", "dying ended by itself"),
        ('await asyncio.to_thread(int, "x")', "dying ended because of a bug (ValueError"),
    ],
)
def test_a_part_that_ends_takes_the_whole_with_it_whatever_hangs(dying: str, reason: str) -> None:
    script = f"""
{HANGING}
async def die(stop):
    await asyncio.sleep(0)
    {dying}

run_together(lambda stop: {{"a": hang(stop), "dying": die(stop), "c": live(stop)}}, lambda: say("last"))
"""
    done = run(script)
    assert done.returncode == 1
    assert done.stdout == "in order\nlast\n"
    assert f"msgmetrics: {reason}" in done.stderr


def test_ctrl_c_ends_all_parts_in_order_and_a_second_one_at_once() -> None:
    script = f"""
{HANGING}
async def interrupt(stop):
    signal.raise_signal(signal.SIGINT)
    await stop.wait()
    signal.raise_signal(signal.SIGINT)
    if sys.stdin.readline():
        endings.SAME_SECONDS = 0
        signal.raise_signal(signal.SIGINT)

run_together(lambda stop: {{"a": hang(stop), "b": interrupt(stop), "c": live(stop)}}, lambda: say("last"))
"""
    done = run(script, shell="{} < /dev/null")
    assert (done.returncode, done.stdout, done.stderr) == (0, "in order\nlast\n", "")
    done = run(script, shell="echo | {}")
    assert (done.returncode, "last" in done.stdout) == (128 + signal.SIGINT, False)


def test_an_error_before_the_parts_is_told_as_well() -> None:
    done = run("run_together(lambda stop: {}[0], lambda: None)")
    assert done.returncode == 1
    assert "a bug ended the command (KeyError: 0)" in done.stderr


def test_nothing_is_said_of_a_good_end(capsys: pytest.CaptureFixture[str]) -> None:
    say()
    assert capsys.readouterr() == ("\n", "")
