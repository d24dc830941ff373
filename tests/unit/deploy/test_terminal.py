"""What a terminal would obey is shown, never sent; and no command has a way to print of its own."""

import json
import logging
import re
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.context import say, tell
from deploy.errors import CommandError
from deploy.logs import JsonFormatter, TextFormatter
from deploy.terminal import safe, safe_json
from tests.support.engine import ROOT
from tests.support.source import name_of, references, sources

OBEYED = {"Cc", "Cs", "Zl", "Zp"}
BIDIRECTIONAL = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
TEXT = st.text(st.one_of(st.characters(codec=None), st.sampled_from("\x1b\x9b\x7f\u202e\u2066\ud800\n\r\t\u2028\b")))


def is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in OBEYED or unicodedata.bidirectional(character) in BIDIRECTIONAL


def test_every_character_that_a_terminal_obeys_is_shown_instead_and_no_other() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        assert (safe(character) != character) == is_obeyed(character), ascii(character)


@given(TEXT)
def test_text_becomes_one_line_that_can_be_written_and_stays_so(text: str) -> None:
    shown = safe(text)
    assert not any(map(is_obeyed, shown))
    assert shown.splitlines() == ([shown] if shown else [])
    assert safe(shown) == shown
    shown.encode()


@given(st.dictionaries(TEXT, TEXT | st.integers(-(2**53), 2**53) | st.none()))
def test_json_has_exactly_the_values_and_nothing_that_is_obeyed(document: dict[str, object]) -> None:
    line = safe_json(document)
    assert json.loads(line) == document
    assert not any(map(is_obeyed, line))
    line.encode()


@given(TEXT, TEXT)
def test_a_line_of_the_log_is_one_line(message: str, field: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (message,), None)
    record.fields = {"detail": field}
    text, line = TextFormatter().format(record), JsonFormatter().format(record)
    assert not any(map(is_obeyed, text + line))
    assert (json.loads(line)["message"], json.loads(line)["detail"]) == (message, field)


def test_a_traceback_in_the_log_has_lines_and_none_can_pose_as_an_entry() -> None:
    try:
        raise ValueError("\x1b[2J\u202e\n2026-05-05 12:00:00,000 ERROR pipeline: forged")
    except ValueError as error:
        about = (ValueError, error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, "", 0, "no", (), about, sinfo="Stack:\n\x9b31m")
    first, *rest = TextFormatter().format(record).split("\n")
    assert first.endswith("no")
    assert rest[0].startswith("  Traceback")
    assert rest[-4:] == [
        r"  ValueError: \x1b[2J\u202e",
        "  2026-05-05 12:00:00,000 ERROR pipeline: forged",
        "  Stack:",
        r"  \x9b31m",
    ]
    assert len(JsonFormatter().format(record).splitlines()) == 1


def test_what_a_library_logs_in_a_command_is_safe_for_the_terminal() -> None:
    program = (
        "import logging; from deploy.cli import main;"
        r"main.run = lambda _: logging.getLogger('library').warning('a\nb \x1b[2J'); main.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "a\\nb \\x1b[2J\n"


def test_lines_that_are_said_are_ours_and_a_newline_in_one_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\nforged", "b\x1b]0;title\x07")
    tell(CommandError("first\nsecond \x9b31m"))
    out, err = capsys.readouterr()
    assert out == "a\\nforged\nb\\x1b]0;title\\x07\n"
    assert err == "msgmetrics: first\nsecond \\x9b31m\n"


PRINTING = re.compile(
    r"click\.(echo\w*|secho|style|confirm|prompt|progressbar|pause|getchar)|"
    r"sys\.(__)?(stdout|stderr)(__)?\.(write|writelines|buffer)\b.*|os\.write"
)
ROOM = "deploy/cli/context.py"


def prints(source: str) -> set[str]:
    """How a file prints by itself."""
    found = {used for used in references(source) if PRINTING.fullmatch(used)}
    return found | ({"print"} if re.search(r"(?<![\w.])print\(", source) else set())


def test_only_one_place_prints() -> None:
    assert {name_of(f): p for f in sources("deploy/cli") if name_of(f) != ROOM and (p := prints(f.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import click; click.echo(1)",
        "from click import secho",
        "import sys; sys.stdout.buffer.write(b'')",
        "import sys; print(1, file=sys.stderr)",
        "def f(): print(1)",
        "import click as c; c.confirm('?')",
    ],
)
def test_a_way_to_print_is_found_however_it_is_written(source: str) -> None:
    assert prints(source)
