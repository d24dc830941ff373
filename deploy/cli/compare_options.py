"""The options of ``msgmetrics compare`` as types: each refuses what it cannot mean, before anything is looked at."""

import codecs
import io
import re
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from deploy.cli.event_file import file_blocks, title_of
from deploy.cli.invoice_file import BadLine, plain_name, text_lines
from deploy.cli.invoice_form import ROLES, Columns, date_format_problem, parse_channels
from deploy.errors import Usage
from schemas.message_event import MICROS_PER_CENT

COUNTS = {"sent": ("sent",), "delivered": ("delivered",), "failed": ("failed",), "sent+failed": ("sent", "failed")}
"""The numbers of ours that add up to what a count column is held against."""
SHOWN_CHARACTERS = 80
_ITEM = re.compile(r'\s*(?P<role>\w+)\s*=(?:\s*"(?P<quoted>(?:[^"]|"")*)"\s*|(?P<plain>[^,"]*))(?P<end>,|\Z)')
_CENTS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", re.ASCII)
_NAMED_SEPARATORS = {"tab": "\t"}
_NAMED_THOUSANDS = {"space": " "}
T = TypeVar("T")


def _shown(value: object) -> str:
    """A value as a sentence shows it."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


class ColumnsType(click.ParamType):
    """The file's columns: role=name, several with commas between them; a name with a comma is quoted."""

    name = "ROLE=NAME,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Columns:
        if isinstance(value, Columns):
            return value
        names: dict[str, str] = {}
        place = 0
        while True:
            found = _ITEM.match(value, place)
            if found is None or found["role"] not in ROLES:
                self.fail(
                    f"it must be role=name, with commas between several, for the roles {', '.join(ROLES)}; a name with "
                    f'a comma in it is quoted, as in cost="a, b". It is {_shown(value[place:])} here',
                    param,
                    ctx,
                )
            role, name = found["role"], plain_name((found["plain"] or found["quoted"] or "").replace('""', '"'))
            if role in names or not name or name in names.values():
                self.fail(
                    f"each role is named once, and each by another column; look at {_shown(found[0])}", param, ctx
                )
            names[role] = name
            place = found.end()
            if not found["end"]:
                break
        if "date" not in names or not {"count", "cost"} & names.keys():
            self.fail("it must name the column of the date, and at least one of count and cost", param, ctx)
        return Columns(**names)


class ZoneType(click.ParamType):
    """A zone of the IANA database."""

    name = "ZONE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        if isinstance(value, ZoneInfo):
            return value
        try:
            return ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            self.fail(
                f"it must be a zone of the IANA database, as Europe/Berlin or UTC, not {_shown(value)}", param, ctx
            )


class EncodingType(click.ParamType):
    """An encoding of text that Python knows."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            io.TextIOWrapper(io.BytesIO(), encoding=value)  # refuses codecs that make no text, such as hex
            codecs.getincrementaldecoder(value)
            return codecs.lookup(value).name
        except (LookupError, ValueError, OSError):
            self.fail(
                f"it must be an encoding that Python knows, as utf-8, utf-16 or cp1252, not {_shown(value)}", param, ctx
            )


class CharacterType(click.ParamType):
    """One character, or the name of one; none of those that mean something else in a cell."""

    name = "CHARACTER"

    def __init__(self, named: dict[str, str], refused: str) -> None:
        self._named, self._refused = named, re.compile(refused)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        character = self._named.get(value, value)
        if len(character) != 1 or self._refused.match(character):
            named = "".join(f", or the word {name}" for name in self._named)
            self.fail(
                f"it must be one character (no letter, digit, sign, quote or line end){named}, not {_shown(value)}",
                param,
                ctx,
            )
        return str(character)


class PatternType(click.ParamType):
    """A regular expression of Python."""

    name = "REGEX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        if isinstance(value, re.Pattern):
            return value
        try:
            pattern = re.compile(value)
        except (re.error, RecursionError, OverflowError) as error:
            self.fail(f"it must be a regular expression of Python ({error}), not {_shown(value)}", param, ctx)
        if pattern.search("") and not value.strip("^$"):
            self.fail("it is empty and leaves out every line; leave the option out to leave none out", param, ctx)
        return pattern


class DateFormatType(click.ParamType):
    """A format of Python's strptime that tells a day."""

    name = "FORMAT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if problem := date_format_problem(str(value)):
            self.fail(f"it must be like %d.%m.%Y, not {_shown(value)}: {_shown(problem)[1:-1]}", param, ctx)
        return str(value)


class CentsType(click.ParamType):
    """An amount of cents that is not negative, as millionths of a cent."""

    name = "CENTS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not _CENTS.fullmatch(value):
            self.fail(f"it must be cents with at most 6 decimals, as 0.5, not {_shown(value)}", param, ctx)
        return int(Decimal(value) * MICROS_PER_CENT)


_SIGNS = r'[\w"+\-\x00-\x08\x0a-\x1f]'
SEPARATOR = CharacterType(_NAMED_SEPARATORS, _SIGNS)
THOUSANDS = CharacterType(_NAMED_THOUSANDS, _SIGNS)


def read_channels(name: str) -> dict[str, str]:
    """The channels of the file of ``--map``, theirs to ours: lines ``theirs=ours`` in UTF-8. Raises Usage."""
    with file_blocks(name) as blocks:
        try:
            return parse_channels([(number, line) for number, line in text_lines(blocks, "utf-8") if line.strip()])
        except BadLine as bad:
            problem = f"line {bad.number} {bad.problem}"
        except ValueError as error:
            problem = str(error)
    raise Usage(f"--map {title_of(name)}: {problem}")


def check_together(
    columns: Columns, *, count: str | None, cost_options: list[str], channels: bool, decimal: str, thousands: str
) -> None:
    """Raise Usage for options that are good alone and mean nothing together, or lack one that they need."""
    if columns.count and count is None:
        raise Usage(f"--columns names a count: say by --count which of ours it is, {', '.join(COUNTS)}")
    if count is not None and not columns.count:
        raise Usage("--count is for a count column, and --columns names none: add count=… to it, or leave --count out")
    if cost_options and not columns.cost:
        said = f"{' and '.join(cost_options)} {'is' if len(cost_options) == 1 else 'are'}"
        raise Usage(f"{said} for a cost column, and --columns names none: add cost=… to it, or leave them out")
    if channels and not columns.channel:
        raise Usage("--map is for a channel column, and --columns names none: add channel=… to it, or leave --map out")
    if decimal == thousands:
        raise Usage(f"--decimal and --thousands are both {decimal!a}: one sign cannot be both; say which the other is")
