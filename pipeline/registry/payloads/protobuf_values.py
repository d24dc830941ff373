"""Protobuf's types for one converted field: the conversions of those that it may have."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from google.protobuf.descriptor_pb2 import EnumDescriptorProto, FieldDescriptorProto

from pipeline.core.exact import FieldError
from pipeline.core.refusal import excerpt
from pipeline.registry.payloads.fields import CLOUD_FIELDS, COST, DATA, TIME_FIELDS, JsonValue, refuse_type, symbol_text
from pipeline.registry.payloads.values import (
    MAX_DIGITS,
    NANOS_PER_MS,
    NANOS_PER_SECOND,
    decimal_text,
    finite,
    plain_decimal,
    signed_integer,
    time_text,
)
from schemas.grain import MS_PER_SECOND

Convert = Callable[[Any], JsonValue]
"""From a value that is set to that of the JSON."""

REMEDIES: Final = {
    **dict.fromkeys(CLOUD_FIELDS, "a string"),
    **dict.fromkeys(("type", "channel"), "a string or an enum"),
    **dict.fromkeys(TIME_FIELDS, "google.protobuf.Timestamp, or an RFC 3339 string"),
    COST: "confluent.type.Decimal, google.type.Decimal, a string, a double or an integer",
    DATA: "a message or a string",
}
"""The types to use instead of one that is refused."""

STRING, BYTES, DOUBLE = (
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_BYTES,
    FieldDescriptorProto.TYPE_DOUBLE,
)
INT32, INT64 = FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_INT64
UINT32, UINT64 = FieldDescriptorProto.TYPE_UINT32, FieldDescriptorProto.TYPE_UINT64
BOOL, FLOAT = FieldDescriptorProto.TYPE_BOOL, FieldDescriptorProto.TYPE_FLOAT

WRAPPERS: Final = {
    "google.protobuf.StringValue": STRING,
    "google.protobuf.DoubleValue": DOUBLE,
    "google.protobuf.BoolValue": BOOL,
    "google.protobuf.Int32Value": INT32,
    "google.protobuf.Int64Value": INT64,
    "google.protobuf.UInt32Value": UINT32,
    "google.protobuf.UInt64Value": UINT64,
}
"""The scalar in each wrapper. Those of float and bytes are refused by their own names."""

TIMESTAMP, CONFLUENT, GOOGLE = "google.protobuf.Timestamp", "confluent.type.Decimal", "google.type.Decimal"
PARTS: Final = {
    TIMESTAMP: (("seconds", INT64), ("nanos", INT32)),
    CONFLUENT: (("value", BYTES), ("precision", UINT32), ("scale", INT32)),
    GOOGLE: (("value", STRING),),
    **{name: (("value", scalar),) for name, scalar in WRAPPERS.items()},
}
"""The fields of the messages that are converted, which are numbered from 1."""


def scalar_convert(field: str, scalar: int, told: str) -> Convert:
    """The conversion of a scalar, or the refusal of its type."""
    if scalar == STRING:
        return partial(_text, field)
    if scalar == DOUBLE:
        return partial(finite, field)
    if scalar == BOOL or (scalar not in (FLOAT, BYTES) and field not in TIME_FIELDS):
        return _unchanged
    return refuse_type(field, REMEDIES.get(field, ""), told)


class _Texts(dict[int, str]):
    """The texts of an enum by their numbers. One that the schema does not name is refused: it could be anything."""

    def __init__(self, field: str, enum: EnumDescriptorProto) -> None:
        for value in enum.value:
            self.setdefault(value.number, symbol_text(field, value.name))  # the first of several names is the main one
        self._field, self._enum = field, enum.name

    def __missing__(self, number: int) -> str:
        raise FieldError(self._field, f"must be a value of its enum {excerpt(self._enum)}, which has no {number}")


def enum_convert(field: str, enum: EnumDescriptorProto) -> Convert:
    """The conversion of an enum's number."""
    return _Texts(field, enum).__getitem__


def message_convert(field: str, name: str) -> Convert | None:
    """The conversion of a message that every client knows; None for one that the field must not have."""
    if name in WRAPPERS:
        inner = scalar_convert(field, WRAPPERS[name], name)
        return lambda message: inner(message.value)
    if name == TIMESTAMP and field in TIME_FIELDS:
        return partial(_instant, field)
    if field == COST and name == CONFLUENT:
        return _confluent_decimal
    if field == COST and name == GOOGLE:
        return lambda message: plain_decimal(_text(field, message.value))
    return None


def _unchanged(value: Any) -> Any:
    return value


def _text(field: str, text: str | bytes) -> str:
    """A string. Where its bytes are not UTF-8 the library hands them out as they are."""
    if not isinstance(text, str):
        raise FieldError(field, "must be text in UTF-8")
    return text


def _instant(field: str, message: Any) -> str:
    nanos = message.nanos
    if not 0 <= nanos < NANOS_PER_SECOND:
        raise FieldError(field, f"must have nanos of 0 to {NANOS_PER_SECOND - 1}, not {nanos}")
    return time_text(field, message.seconds * MS_PER_SECOND + nanos // NANOS_PER_MS)


def _confluent_decimal(message: Any) -> str:
    unscaled = signed_integer(COST, message.value)
    return decimal_text(unscaled, message.scale, message.precision or MAX_DIGITS)
