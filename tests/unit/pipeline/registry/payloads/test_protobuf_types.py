"""Every type of Protobuf in the fields of an event: its JSON, or its refusal by name."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.protobuf_events import INTEGERS, SECONDS, one_field, set_to, value_of, written
from tests.support.registered import refusal

OPTIONAL: dict[str, Any] = {"proto3_optional": True, "oneof_index": 0}


@pytest.mark.parametrize(
    ("name", "kind", "value", "expected"),
    [
        ("event_id", "string", "é\u2028\x00", "é\u2028\x00"),
        *(("event_id", kind, 7, 7) for kind in INTEGERS),
        ("event_id", "int64", -(2**63), -(2**63)),
        ("event_id", "uint64", 2**64 - 1, 2**64 - 1),
        ("event_id", "int64", 9007199254740993, 9007199254740993),
        ("org_id", "bool", True, True),
        ("type", "string", "MESSAGE_SENT", "MESSAGE_SENT"),
        ("type", "enum", 1, "message.sent"),
        ("type", "enum", 2, "message.failed"),
        ("channel", "enum", 1, "message_sent"),
        ("error_code", "enum", 1, "MESSAGE_SENT"),
        ("occurred_at", "string", "2026-05-05T12:00:00Z", "2026-05-05T12:00:00Z"),
        ("cost_cents", "string", "0.750", "0.750"),
        ("cost_cents", "double", 0.1, 0.1),
        ("cost_cents", "int64", 12, 12),
    ],
)
@pytest.mark.parametrize(("syntax", "more"), [("proto3", {}), ("proto3", OPTIONAL), ("proto2", {})])
def test_a_scalar_is_converted(name: str, kind: str, value: Any, expected: Any, syntax: str, more: Any) -> None:
    found = value_of(one_field(name, kind, syntax=syntax, **more), name, set_to(name, value))
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("name", "kind", "default", "told"),
    [
        ("error_code", "string", "", ""),
        ("event_id", "int64", 0, 0),
        ("cost_cents", "double", 0.0, 0.0),
        ("org_id", "bool", False, False),
        ("type", "enum", 0, "type.unspecified"),
    ],
)
def test_a_default_is_absent_unless_its_presence_is_explicit(name: str, kind: str, default: Any, told: Any) -> None:
    def nothing(message: Any) -> None:
        pass

    for file in (one_field(name, kind, **OPTIONAL), one_field(name, kind, syntax="proto2")):
        assert value_of(file, name, set_to(name, default)) == told
        assert value_of(file, name, nothing) is None
    assert value_of(one_field(name, kind), name, set_to(name, default)) is None


def test_a_default_of_proto2_is_not_applied() -> None:
    file = one_field("error_code", "string", syntax="proto2", default_value="E1")
    assert value_of(file, "error_code", lambda message: message) is None


@pytest.mark.parametrize(("name", "kind"), [("cost_cents", "float"), ("cost_cents", "bytes"), ("occurred_at", "int64")])
def test_the_default_of_a_refused_type_is_absent_too(name: str, kind: str) -> None:
    assert value_of(one_field(name, kind), name, lambda message: message) is None


def instant(seconds: int, nanos: int = 0) -> Callable[[Any], object]:
    def fill(message: Any) -> None:
        message.occurred_at.seconds, message.occurred_at.nanos = seconds, nanos

    return fill


@pytest.mark.parametrize(
    ("seconds", "nanos", "expected"),
    [
        (SECONDS, 123_999_999, "2026-05-05T12:00:00.123Z"),
        (SECONDS, 0, "2026-05-05T12:00:00.000Z"),
        (0, 0, "1970-01-01T00:00:00.000Z"),
        (-1, 999_000_000, "1969-12-31T23:59:59.999Z"),
        (253402300799, 999_999_999, "9999-12-31T23:59:59.999Z"),
        (-62135596800, 0, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_timestamp_is_cut_to_milliseconds(seconds: int, nanos: int, expected: str) -> None:
    file = one_field("occurred_at", ".google.protobuf.Timestamp")
    assert value_of(file, "occurred_at", instant(seconds, nanos)) == expected
    assert (
        value_of(file, "occurred_at", lambda message: message.occurred_at.SetInParent()) == "1970-01-01T00:00:00.000Z"
    )
    assert value_of(file, "occurred_at", lambda message: message) is None


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(253402300800, 0), (-62135596801, 0), (2**63 - 1, 0), (-(2**63), 0), (0, -1), (0, 10**9)]
)
def test_a_timestamp_that_is_none_is_refused(seconds: int, nanos: int) -> None:
    written_ = written(one_field("occurred_at", ".google.protobuf.Timestamp"), instant(seconds, nanos))
    assert refusal(*written_).startswith("occurred_at must ")


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("error_code", "StringValue", "E1"),
        ("error_code", "StringValue", ""),
        ("cost_cents", "DoubleValue", 0.1),
        *(("cost_cents", kind, 7) for kind in ("Int32Value", "Int64Value", "UInt32Value", "UInt64Value")),
        ("cost_cents", "Int64Value", 0),
        ("cost_cents", "BoolValue", True),
    ],
)
def test_a_wrapper_is_unwrapped_and_tells_a_default(name: str, kind: str, value: Any) -> None:
    def fill(message: Any) -> None:
        getattr(message, name).SetInParent()
        getattr(message, name).value = value

    assert value_of(one_field(name, f".google.protobuf.{kind}"), name, fill) == value


@pytest.mark.parametrize(
    ("unscaled", "scale", "precision", "expected"),
    [
        (b"\x4b", 2, 3, "0.75"),
        (b"\x4b", 2, 0, "0.75"),
        (b"\x00\x00\x4b", 0, 0, "75"),
        (b"\x4b", -2, 0, "7500"),
        (b"\xb5", 2, 0, "-0.75"),
        (b"\x00", 6, 1, "0"),
        (b"\x00", 2**31 - 1, 0, "0"),
        ((12 * 10**8).to_bytes(5, "big"), 8, 0, "12"),
        ((75 * 10**6).to_bytes(5, "big"), 8, 0, "0.75"),
    ],
)
def test_confluents_decimal_is_exact_text(unscaled: bytes, scale: int, precision: int, expected: str) -> None:
    def fill(message: Any) -> None:
        cost = message.cost_cents
        cost.value, cost.scale, cost.precision = unscaled, scale, precision

    assert value_of(one_field("cost_cents", ".confluent.type.Decimal"), "cost_cents", fill) == expected


@pytest.mark.parametrize(
    ("unscaled", "scale", "precision"),
    [(b"", 2, 3), (b"\x4b", 2**31 - 1, 0), (b"\x4b", -(2**31), 0), (b"\x7f" * 100_000, 2, 0), (b"\x4b", 2, 1)],
)
def test_confluents_decimal_is_refused_where_it_is_none(unscaled: bytes, scale: int, precision: int) -> None:
    def fill(message: Any) -> None:
        cost = message.cost_cents
        cost.value, cost.scale, cost.precision = unscaled, scale, precision

    assert refusal(*written(one_field("cost_cents", ".confluent.type.Decimal"), fill)).startswith("cost_cents must ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.75", "0.75"),
        ("0.750", "0.75"),
        ("+12", "12"),
        ("-1", "-1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("7.5e1", "75"),
        ("", "0"),
    ],
)
def test_googles_decimal_is_plain_text(text: str, expected: str) -> None:
    def fill(message: Any) -> None:
        message.cost_cents.SetInParent()
        message.cost_cents.value = text

    assert value_of(one_field("cost_cents", ".google.type.Decimal"), "cost_cents", fill) == expected


@pytest.mark.parametrize("text", [" 1", "1_0", "NaN", "1e999999999", "1e9999999999", "٣", "1" * 5000, "e1", ".", "1,5"])
def test_googles_decimal_is_refused_where_it_is_none(text: str) -> None:
    file = one_field("cost_cents", ".google.type.Decimal")
    assert refusal(*written(file, lambda message: setattr(message.cost_cents, "value", text))).startswith(
        "cost_cents must "
    )
