"""How a command ends: whatever it raised becomes a sentence on stderr and an exit code.

Exit codes are those of deploy/errors.py, and 130 after Ctrl-C and 141 where nobody reads the output any more, as the
shell has them for SIGINT and SIGPIPE. An error that nobody foresaw is a bug: exit code 1, a sentence that says so, and
its trace, which people should not have to read and a report needs. On a terminal the trace is in a file; elsewhere,
where stderr is a log, it follows the sentence.
"""

import contextlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import click

from deploy.cli.context import OutputLost, ReaderGone, is_terminal, say, tell
from deploy.errors import CommandError, Interrupted

SAME_SECONDS = 0.3
PROBLEM, WRONG_USAGE, INTERRUPTED, READER_GONE = 1, 2, Interrupted.exit_code, 141


class Bug(Exception):
    """Wraps an error that nobody foresaw, its cause, on its way through click."""


def interrupt_once(number: int, _: FrameType | None) -> None:
    """SIGINT: raises KeyboardInterrupt, so that the command ends in order; the next one ends the process at once."""
    signal.signal(number, end_at_once())
    raise KeyboardInterrupt


def end_at_once() -> Callable[..., None]:
    """A handler for the SIGINT after the first. It ignores one that comes with the first.

    A terminal sends SIGINT to all that runs in it, and tools like `timeout` hand on to their child what it has already.
    """
    first = time.monotonic()

    def end(*_: object) -> None:
        if time.monotonic() - first > SAME_SECONDS:
            os._exit(INTERRUPTED)

    return end


def ended(error: BaseException) -> int:
    """Print why a command ended, and return its exit code."""
    try:
        return _told(error)
    except (OSError, ReaderGone):  # stderr is gone as well
        return _nobody_reads()


def leave(code: int) -> NoReturn:
    """End the process as it stands: what hangs does not keep it."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _told(error: BaseException) -> int:
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else PROBLEM if error.code else 0
        case OutputLost():
            _leave_unwritten()
            tell(error)
            return error.exit_code
        case CommandError():
            tell(error)
            return error.exit_code
        case click.ClickException():
            say(*_usage(error), err=True)
            return WRONG_USAGE
        case ReaderGone():
            return _nobody_reads()
        case click.Abort() | KeyboardInterrupt():
            say("msgmetrics: interrupted", err=True)
            return INTERRUPTED
    _report(error)
    return PROBLEM


def _usage(error: click.ClickException) -> list[str]:
    """Click's sentence on wrong arguments, behind the command's usage."""
    context = getattr(error, "ctx", None)
    usage = [*context.get_usage().split("\n"), f"Try '{context.command_path} --help' for help.", ""] if context else []
    sentence = error.format_message().replace(":\n\t", ": ").replace(",\n\t", ", ")  # click lists choices by lines
    return [*usage, f"Error: {sentence}"]


def _nobody_reads() -> int:
    """End quietly."""
    _leave_unwritten()
    return READER_GONE


def _leave_unwritten() -> None:
    """Drop what is left to be written to stdout: the interpreter would try, and complain."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: BaseException) -> None:
    cause = error.__cause__ or error
    trace = "".join(traceback.format_exception(error))
    what = " ".join([f"{type(cause).__name__}:", *str(cause).split()])
    kept = _kept(trace) if is_terminal() else ""
    where = f"its trace is in {kept}" if kept else "its trace follows"
    say(f"msgmetrics: a bug ended the command ({what}); please report it, {where}", err=True)
    if not kept:
        say(*trace.splitlines(), err=True)


def _kept(trace: str) -> str:
    """The file that has the trace, readable by its owner only; '' where none can be made."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="msgmetrics-", suffix=".trace", delete=False, errors="replace"
        ) as f:
            f.write(trace)
        return f.name
    except OSError:
        return ""
