"""Shared by all commands: settings, types of options, and messages on stderr. Imports nothing slow."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from deploy.cli.dev_file import dev_settings, read_dev_file
from deploy.errors import CommandError, Interrupted, Refused, Usage
from deploy.terminal import safe
from schemas.instant import Span, parse_instant, second
from schemas.settings import PREFIX, Settings, SettingsError, read_settings


class Context:
    """Settings for a command, read from the environment when it asks for them, so that --help always works."""

    def __init__(self, dev: Path | None) -> None:
        self._dev = dev

    @property
    def settings(self) -> Settings:
        """The settings; with ``--dev`` those of the running ``dev``. Raises Usage or Unreachable."""
        try:
            settings = read_settings(os.environ)
        except SettingsError as error:
            raise Usage(str(error)) from None
        return settings if self._dev is None else dev_settings(settings, read_dev_file(self._dev))

    @property
    def names_a_broker(self) -> bool:
        """Whether the environment names a Kafka to use: ``dev`` makes its own otherwise."""
        return PREFIX + "KAFKA_BOOTSTRAP" in os.environ


class InstantType(click.ParamType):
    """RFC 3339 with offset, as epoch seconds. A fraction is refused, since most commands could not heed it."""

    name = "T"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            instant = parse_instant(value)
        except ValueError as error:
            self.fail(f"{error}, not {value!r}", param, ctx)
        if instant.fraction:
            around = f"{second(instant.seconds)} or {second(instant.seconds + 1)}"
            self.fail(f"commands take whole seconds, here {around}, not {value!r}", param, ctx)
        return instant.seconds


INSTANT = InstantType()
FROM = click.option("--from", "start", required=True, type=INSTANT, help="start of the span, RFC 3339 with offset")
TO = click.option("--to", "end", required=True, type=INSTANT, help="end of the span; in the future it means now")


def check_span(start: int, end: int) -> Span:
    """Epoch seconds as a span. Raises Usage unless it begins before it ends."""
    if start >= end:
        raise Usage("--from must be before --to")
    return Span(start, end)


def is_terminal() -> bool:
    """Whether stderr, where progress is shown, is a terminal."""
    return bool(sys.stderr) and sys.stderr.isatty()  # it is None where it was closed


class ReaderGone(Exception):
    """Nobody reads the output any more, as in ``msgmetrics … | head``."""


class OutputLost(CommandError):
    """What stdout is written to takes no more, as a full disk."""


def say(*lines: str, err: bool = False) -> None:
    """Print lines on stdout or stderr: the way in which commands speak.

    What a line holds may come from anybody who can write to the topic, so each is made safe for a terminal, in which a
    newline is no new line either. Raises ReaderGone, and OutputLost where stdout takes no more.
    """
    _write("\n".join(map(safe, lines)), err=err)


def say_bytes(data: bytes) -> None:
    """Write bytes to stdout as they are, for a file or another program. Raises as `say` does."""
    _write(data, newline=False)


def _write(data: str | bytes, *, newline: bool = True, err: bool = False) -> None:
    try:
        click.echo(data, nl=newline, err=err)
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        if err:
            raise
        raise OutputLost(
            f"the output cannot be written ({error.strerror}); what was written of it is not all"
        ) from None


def confirm(question: str) -> None:
    """Ask, and go on only after a yes. Raises Refused; Interrupted after Ctrl-C."""
    try:
        confirmed = bool(sys.stdin) and click.confirm(safe(question), err=True)  # it is None where it was closed
    except click.Abort as abort:
        confirmed = False
        say("", err=True)  # the question's line has no end yet
        if isinstance(abort.__context__, KeyboardInterrupt):  # the other cause is the end of standard input
            raise Interrupted("interrupted; nothing was done") from None
    if not confirmed:
        raise Refused("this was not confirmed, so nothing was done; --yes answers where nobody can")


def warn(problem: str) -> None:
    """Print why a command waits, while it tries again."""
    say(f"waiting: {problem}", err=True)


def tell(error: CommandError) -> None:
    """Print an error on stderr."""
    say(*f"msgmetrics: {error}".split("\n"), err=True)
