"""Avro's types for one converted field: the reads of those that it may have."""

from collections.abc import Callable
from typing import Any, Final

from pipeline.core.envelope.frames import guid_text
from pipeline.registry.payloads import binary
from pipeline.registry.payloads.avro_schema import AvroType
from pipeline.registry.payloads.binary import Read
from pipeline.registry.payloads.fields import CLOUD_FIELDS, COST, DATA, TIME_FIELDS, symbol_text
from pipeline.registry.payloads.values import (
    NANOS_PER_MS,
    decimal_text,
    finite,
    signed_integer,
    time_text,
    uuid_text,
)
from schemas.grain import MS_PER_SECOND

REMEDIES: Final = {
    **dict.fromkeys(CLOUD_FIELDS, "a string"),
    **dict.fromkeys(("type", "channel"), "a string or an enum"),
    **dict.fromkeys(TIME_FIELDS, "timestamp-millis or timestamp-micros, or an RFC 3339 string"),
    COST: "a decimal, a string, a double or an integer",
    DATA: "a record or a string",
}
"""The types to use instead of one that is refused."""

_TICKS_PER_MS: Final = {
    "timestamp-millis": 1,
    "timestamp-micros": MS_PER_SECOND,
    "timestamp-nanos": NANOS_PER_MS,
}


def scalar_read(kind: AvroType, field: str) -> Read | None:
    """The read of a type in a field; None for a type that the field must not have."""
    if kind.logical:
        return _logical_read(kind, field)
    match kind.kind:
        case "null":
            return binary.read_null
        case "string":
            return binary.read_string
        case "boolean":
            return binary.read_boolean
        case "double":
            return _then(binary.read_double, lambda number: finite(field, number))
        case "int" if field not in TIME_FIELDS:
            return binary.read_int
        case "long" if field not in TIME_FIELDS:
            return binary.read_long
        case "enum":
            return _symbol_read(field, kind.symbols)
    return None


def _logical_read(kind: AvroType, field: str) -> Read | None:
    if kind.logical == "uuid":
        if kind.kind == "fixed":
            return _fixed_read(kind.size, guid_text)
        return _then(binary.read_string, lambda text: uuid_text(field, text))
    if kind.logical == "decimal" and field == COST:
        return _decimal_read(kind)
    if kind.logical in _TICKS_PER_MS and field in TIME_FIELDS:
        ticks = _TICKS_PER_MS[kind.logical]
        return _then(binary.read_long, lambda count: time_text(field, count // ticks))
    return None


def _decimal_read(kind: AvroType) -> Read:
    def text(data: bytes) -> str:
        return decimal_text(signed_integer(COST, data), kind.scale, kind.precision)

    return _fixed_read(kind.size, text) if kind.kind == "fixed" else _then(binary.read_bytes, text)


def _then(read: Callable[[bytes, int], tuple[Any, int]], convert: Callable[[Any], Any]) -> Read:
    def read_then(data: bytes, at: int) -> tuple[Any, int]:
        value, at = read(data, at)
        return convert(value), at

    return read_then


def _fixed_read(size: int, convert: Callable[[bytes], str]) -> Read:
    skip = binary.fixed_skip(size)

    def read(data: bytes, at: int) -> tuple[str, int]:
        end = skip(data, at)
        return convert(data[at:end]), end

    return read


def _symbol_read(field: str, symbols: tuple[str, ...]) -> Read:
    """The read of an enum. Its texts are made as they come: a schema may have a hundred thousand, many times over."""
    known: dict[int, str] = {}

    def read(data: bytes, at: int) -> tuple[str, int]:
        index, at = binary.read_index(data, at, len(symbols))
        text = known.get(index)
        if text is None:
            text = known[index] = symbol_text(field, symbols[index])
        return text, at

    return read
