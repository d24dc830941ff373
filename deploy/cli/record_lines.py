"""Lines of a file as Kafka records: a line is a record's value, or a record as ``dead-letters export`` writes it."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from deploy.cli.event_file import LONGEST_RECORD
from pipeline.core.event import decode_event
from pipeline.core.json_text import fields_in
from schemas.instant import EPOCH, TIME_RULE

MARK: Final = "value_base64"
"""The field by which a line is told to be a whole record."""

_AT_FIELD = re.compile(r" - at `\$\.([^`]*)`")
_FIELD_RULES: Final = {
    MARK: "must be base64, or null for no value",
    "key_base64": "must be base64, or null for no key",
    "name": "must be a string",
    "name_base64": "must be base64",
    "record_at": f"{TIME_RULE}, or null for none",
}
_HEADER_RULE: Final = "must be an object with name (or name_base64) and value_base64, and nothing else"
_HEADERS_RULE: Final = "must be a list of headers"


class BrokenLine(Exception):
    """A line is neither a record's value nor a whole record; the text says why."""


class LineRecord(NamedTuple):
    """A record as decoders take it. ``offset`` is the number of its line, ``timestamp`` its time in milliseconds."""

    offset: int
    value: bytes | None
    timestamp: int | None = None
    key: bytes | None = None
    headers: Sequence[tuple[bytes, bytes | None]] = ()


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    value_base64: bytes | None
    name: str | None = None
    name_base64: bytes | None = None


class _Exported(msgspec.Struct):
    """The fields of an exported record that are heeded."""

    value_base64: bytes | None
    key_base64: bytes | None = None
    headers: list[_Header] = []
    record_at: str | None = None


_exported = msgspec.json.Decoder(_Exported).decode


def record_of(number: int, line: bytes) -> LineRecord:
    """The record that a line is. Raises BrokenLine.

    A line that is a valid event by itself is that, whatever fields it has; of others an object with the field
    ``value_base64`` is a whole record, and all else is a value. No envelope that is read has that field.
    """
    if len(line) > LONGEST_RECORD:
        raise BrokenLine(f"the line is longer than {LONGEST_RECORD} bytes, and was not read to its end")
    return _whole(number, line) if _is_whole(line) else LineRecord(number, line)


def _is_whole(line: bytes) -> bool:
    if MARK.encode() not in line:
        return False
    try:
        if MARK not in fields_in(line):
            return False
    except (msgspec.DecodeError, RecursionError):
        return False
    try:
        decode_event(line)
    except Exception:
        return True
    return False


def _whole(number: int, line: bytes) -> LineRecord:
    try:
        found = _exported(line)
    except msgspec.DecodeError as error:
        raise BrokenLine(_problem(str(error))) from None
    headers = tuple((_name(at, header), header.value_base64) for at, header in enumerate(found.headers))
    return LineRecord(number, found.value_base64, _time_ms(found.record_at), found.key_base64, headers)


def _problem(text: str) -> str:
    """The sentence on a field, for msgspec's error."""
    path = at[1] if (at := _AT_FIELD.search(text)) else ""
    field = path.rpartition(".")[2]
    if path == "headers":
        return f"headers {_HEADERS_RULE}"
    return f"{path} {_FIELD_RULES.get(field, _HEADER_RULE)}" if path else f"the line cannot be read: {text}"


def _name(at: int, header: _Header) -> bytes:
    if (header.name is None) == (header.name_base64 is None):
        raise BrokenLine(f"headers[{at}] {_HEADER_RULE}")
    return header.name.encode() if header.name is not None else header.name_base64 or b""


def _time_ms(record_at: str | None) -> int | None:
    """A record's own time, which may lie in other years than an event's."""
    try:
        instant = None if record_at is None else datetime.fromisoformat(record_at)
        return None if instant is None else (instant - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError):  # none at all, or one without offset
        raise BrokenLine(f"record_at {_FIELD_RULES['record_at']}") from None
