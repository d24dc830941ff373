"""Avro's types for one converted field: the reads of those that it may have."""

from collections.abc import Callable
from typing import Any, Final

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
    uuid_of_bytes,
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
            return binary.chosen(tuple(_constant(symbol_text(field, symbol)) for symbol in kind.symbols))
    return None


def adapted(read: Read, field: str, union: AvroType, branch: AvroType) -> Read:
    """The read of a union's branch. Beside an enum, a string that is one of its symbols is written like the symbol."""
    symbols = {symbol for other in union.children for symbol in other.symbols}
    if branch.kind != "string" or not symbols:
        return read
    return _then(read, lambda text: symbol_text(field, text) if text in symbols else text)


def _logical_read(kind: AvroType, field: str) -> Read | None:
    if kind.logical == "uuid":
        if kind.kind == "fixed":
            return _fixed_read(kind.size, uuid_of_bytes)
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


def _constant(text: str) -> Read:
    return lambda _data, at: (text, at)
