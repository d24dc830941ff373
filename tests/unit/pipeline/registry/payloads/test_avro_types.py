"""Every type of Avro in the fields of an event: its JSON, or its refusal by name."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest

from tests.support.registered import avro, avro_payload, avro_schema, field, read, refusal, text, zigzag

BYTES_DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 8}
FIXED_DECIMAL = {"type": "fixed", "name": "D", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 6}
TYPE = {"type": "enum", "name": "T", "symbols": ["MESSAGE_SENT", "message_Failed", "SENT"], "default": "SENT"}
UUID = "0B29D2F4-8A37-4C4A-A4C0-5C1D8E3F1A77"
FIXED_UUID = {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}
NOON = dt.datetime(2026, 5, 5, 12, 0, 0, 123999, tzinfo=dt.UTC)


def logical(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "logicalType": name}


@pytest.mark.parametrize(
    ("name", "kind", "value", "expected"),
    [
        ("event_id", "string", "é\u2028\x00", "é\u2028\x00"),
        ("event_id", "string", "", ""),
        ("event_id", "string", "x" * 9000, "x" * 9000),
        ("event_id", {"type": "string", "avro.java.string": "String"}, "e", "e"),
        ("event_id", "long", 9007199254740993, 9007199254740993),
        ("event_id", "long", -(2**63), -(2**63)),
        ("event_id", "long", 2**63 - 1, 2**63 - 1),
        ("org_id", "int", -(2**31), -(2**31)),
        ("org_id", "boolean", True, True),
        ("org_id", "boolean", False, False),
        ("event_id", logical("string", "uuid"), UUID, UUID.lower()),
        ("event_id", FIXED_UUID, uuid.UUID(UUID).bytes, UUID.lower()),
        ("event_id", logical("string", "invented"), "e", "e"),
        ("event_id", logical("string", "decimal"), "e", "e"),
        ("type", TYPE, "MESSAGE_SENT", "message.sent"),
        ("type", TYPE, "message_Failed", "message.failed"),
        ("type", "string", "MESSAGE_SENT", "MESSAGE_SENT"),
        ("channel", TYPE, "MESSAGE_SENT", "message_sent"),
        ("error_code", TYPE, "MESSAGE_SENT", "MESSAGE_SENT"),
        ("type", [TYPE, "string"], "MESSAGE_SENT", "message.sent"),
        ("type", ["string", TYPE], "MESSAGE_SENT", "MESSAGE_SENT"),
        ("type", ["null", "string", TYPE], "MESSAGE_LOST", "MESSAGE_LOST"),
        ("occurred_at", "string", "2026-05-05T12:00:00+02:00", "2026-05-05T12:00:00+02:00"),
        ("occurred_at", logical("long", "timestamp-millis"), NOON, "2026-05-05T12:00:00.123Z"),
        ("occurred_at", logical("long", "timestamp-micros"), NOON, "2026-05-05T12:00:00.123Z"),
        ("occurred_at", ["null", logical("long", "timestamp-micros")], NOON, "2026-05-05T12:00:00.123Z"),
        ("occurred_at", logical("long", "timestamp-nanos"), 1777982400123999999, "2026-05-05T12:00:00.123Z"),
        ("occurred_at", logical("long", "timestamp-micros"), -1, "1969-12-31T23:59:59.999Z"),
        ("occurred_at", logical("long", "timestamp-millis"), 253402300799999, "9999-12-31T23:59:59.999Z"),
        ("occurred_at", logical("long", "timestamp-millis"), -62135596800000, "0001-01-01T00:00:00.000Z"),
        ("cost_cents", BYTES_DECIMAL, Decimal("0.75"), "0.75"),
        ("cost_cents", BYTES_DECIMAL, Decimal("-12"), "-12"),
        ("cost_cents", BYTES_DECIMAL, Decimal("0"), "0"),
        ("cost_cents", BYTES_DECIMAL, Decimal("100"), "100"),
        ("cost_cents", BYTES_DECIMAL, Decimal("0.00000001"), "0.00000001"),
        ("cost_cents", BYTES_DECIMAL, Decimal("999999999999.999999"), "999999999999.999999"),
        ("cost_cents", FIXED_DECIMAL, Decimal("1.500000"), "1.5"),
        ("cost_cents", ["null", FIXED_DECIMAL], Decimal("1.5"), "1.5"),
        ("cost_cents", "double", 0.1, 0.1),
        ("cost_cents", "double", 1e300, 1e300),
        ("cost_cents", "long", 12, 12),
        ("cost_cents", "int", 12, 12),
        ("cost_cents", "string", "0.750", "0.750"),
        ("cost_cents", ["null", "float", "double"], ("double", 0.5), 0.5),
        ("cost_cents", ["int", "string", "boolean"], "7", "7"),
    ],
)
def test_a_type_that_a_field_may_have_is_converted(name: str, kind: Any, value: Any, expected: Any) -> None:
    spec = avro(field("before", "long"), field(name, kind), field("after", "string"))
    payload = avro_payload(spec, {"before": 7, name: value, "after": "x"})
    assert read(avro_schema(spec), payload) == {name: expected}
    assert type(read(avro_schema(spec), payload)[name]) is type(expected)


@pytest.mark.parametrize(
    "kind",
    ["null", ["null", "string"], ["string", "null"], ["null", "float"], ["null", "bytes"], ["null", avro(name="N")]],
)
def test_null_means_absent_whatever_the_type_beside_it(kind: Any) -> None:
    spec = avro(field("error_code", kind, default=None), field("org_id", "string"))
    assert read(avro_schema(spec), avro_payload(spec, {"error_code": None, "org_id": "o"})) == {"org_id": "o"}


def test_a_default_is_the_readers_and_is_not_applied() -> None:
    spec = avro(field("org_id", "string", default="acme"), field("channel", ["null", "string"], default=None))
    assert read(avro_schema(spec), b"\2o\0") == {"org_id": "o"}


def test_an_alias_is_no_name() -> None:
    spec = avro(field("id", "string", aliases=["event_id"]), field("org_id", "string"))
    assert read(avro_schema(spec), text("e") + text("o")) == {"org_id": "o"}


@pytest.mark.parametrize(
    ("name", "kind", "given"),
    [
        *(("occurred_at", kind, kind) for kind in ("int", "long")),
        ("time", "long", "long"),
        *(
            ("occurred_at", logical("long", f"local-timestamp-{unit}"), "local-timestamp")
            for unit in ("millis", "micros")
        ),
        ("occurred_at", logical("int", "date"), "date"),
        ("occurred_at", logical("int", "time-millis"), "time-millis"),
        ("occurred_at", logical("long", "time-micros"), "time-micros"),
        ("occurred_at", logical("int", "timestamp-millis"), "int"),
        ("event_id", logical("long", "timestamp-micros"), "timestamp-micros"),
        ("event_id", BYTES_DECIMAL, "decimal"),
        ("cost_cents", "float", "float"),
        ("cost_cents", "bytes", "bytes"),
        ("cost_cents", logical("bytes", "decimal"), "bytes"),
        ("cost_cents", {**BYTES_DECIMAL, "scale": 21}, "bytes"),
        ("cost_cents", {**BYTES_DECIMAL, "scale": -1}, "bytes"),
        ("cost_cents", {**BYTES_DECIMAL, "precision": 0}, "bytes"),
        ("cost_cents", {**BYTES_DECIMAL, "precision": "9"}, "bytes"),
        ("event_id", {"type": "fixed", "name": "F", "size": 12, "logicalType": "uuid"}, "fixed 'F'"),
        ("event_id", {"type": "fixed", "name": "F", "size": 0}, "fixed 'F'"),
        ("error_code", {"type": "array", "items": "string"}, "array"),
        ("error_code", {"type": "map", "values": "string"}, "map"),
        ("error_code", avro(name="Code"), "record 'Code'"),
        ("data", {"type": "map", "values": "string"}, "map"),
        ("data", "bytes", "bytes"),
    ],
)
def test_a_type_that_a_field_must_not_have_is_refused_by_name(name: str, kind: Any, given: str) -> None:
    more = [field("specversion", "string")] if name in ("data", "time") else []
    schema = avro_schema(avro(*more, field(name, kind)))
    sentence = refusal(schema, text("1.0") * len(more) + bytes(30))
    assert sentence.startswith(f"{name} must be ")
    assert f", not {given}" in sentence


def test_the_refusal_of_a_number_as_a_time_has_the_remedy_and_the_reason() -> None:
    assert refusal(avro_schema(avro(field("occurred_at", "long"))), b"\0") == (
        "occurred_at must be timestamp-millis or timestamp-micros, or an RFC 3339 string, not long: "
        "a number does not tell its unit"
    )


@pytest.mark.parametrize(
    ("name", "kind", "payload"),
    [
        ("cost_cents", "double", b"\0\0\0\0\0\0\xf8\x7f"),
        ("cost_cents", "double", b"\0\0\0\0\0\0\xf0\xff"),
        ("cost_cents", BYTES_DECIMAL, b"\0"),
        ("cost_cents", {**BYTES_DECIMAL, "precision": 8}, zigzag(4) + (10**8).to_bytes(4, "big")),
        ("cost_cents", {**BYTES_DECIMAL, "precision": 10**9, "scale": 10**9}, b"\2\1"),
        ("cost_cents", {**BYTES_DECIMAL, "precision": 10**9}, zigzag(1 << 20) + b"\x7f" * (1 << 20)),
        ("occurred_at", logical("long", "timestamp-millis"), zigzag(253402300800000)),
        ("occurred_at", logical("long", "timestamp-millis"), zigzag(-62135596800001)),
        ("occurred_at", logical("long", "timestamp-millis"), zigzag(2**63 - 1)),
        ("occurred_at", logical("long", "timestamp-millis"), zigzag(-(2**63))),
        ("event_id", logical("string", "uuid"), text("no uuid")),
        ("event_id", logical("string", "uuid"), text(UUID + "\n")),
        ("event_id", "string", b"\4\xff\xfe"),
        ("event_id", ["null", "string"], b"\2\4\xff\xfe"),
        ("event_id", "string", b"\6\xed\xa0\x80"),
    ],
)
def test_a_value_that_its_type_does_not_allow_is_refused_with_its_field(name: str, kind: Any, payload: bytes) -> None:
    assert refusal(avro_schema(avro(field(name, kind))), payload).startswith(f"{name} must ")


def test_a_cloud_event_is_converted_with_its_data() -> None:
    sent, failed = avro(field("org_id", "string"), name="Sent"), avro(field("error_code", "string"), name="Failed")
    spec = avro(
        *(field(name, "string") for name in ("specversion", "id", "source", "type", "datacontenttype")),
        field("time", logical("long", "timestamp-millis")),
        field("subject", ["null", "string"]),
        field("data", ["null", "string", sent, failed]),
    )
    cloud = {"specversion": "1.0", "id": "e1", "source": "/x", "type": "message.sent", "datacontenttype": "a/b"}
    expected = cloud | {"time": "2026-05-05T12:00:00.123Z"}
    cases = [
        (("Sent", {"org_id": "o"}), {"org_id": "o"}),
        (("Failed", {"error_code": "E"}), {"error_code": "E"}),
        ("{}", "{}"),
    ]
    for data, converted in cases:
        payload = avro_payload(spec, cloud | {"time": NOON, "subject": "s", "data": data})
        assert read(avro_schema(spec), payload) == expected | {"data": converted}
    without = avro_payload(spec, cloud | {"time": NOON, "subject": None, "data": None})
    assert read(avro_schema(spec), without) == expected


def test_without_specversion_the_attributes_of_a_cloud_event_are_no_ones() -> None:
    spec = avro(field("id", "string"), field("time", "long"), field("data", "bytes"), field("org_id", "string"))
    assert read(avro_schema(spec), avro_payload(spec, {"id": "1", "time": 1, "data": b"x", "org_id": "o"})) == {
        "org_id": "o"
    }


def test_a_string_at_the_top_is_a_json_string() -> None:
    assert read(avro_schema("string"), avro_payload("string", '{"a": "é"}')) == '{"a": "é"}'
    assert refusal(avro_schema("string"), b"\4\xff\xfe") == "the payload is a string that is not UTF-8"


def test_a_union_at_the_top_is_one_of_several_events() -> None:
    """As Confluent has it for several types in one topic; one that is none is refused by its own name."""
    one, other = avro(field("org_id", "string")), avro(field("channel", "string"), name="Other")
    spec = ["null", one, other, "bytes"]
    assert read(avro_schema(spec), b"\2\2a") == {"org_id": "a"}
    assert read(avro_schema(spec), b"\4\2a") == {"channel": "a"}
    assert refusal(avro_schema(spec), b"\0").endswith("not null")
    assert refusal(avro_schema(spec), b"\6\2a").endswith("not bytes")


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        ("bytes", "bytes"),
        ("null", "null"),
        ({"type": "array", "items": "string"}, "array"),
        ({"type": "map", "values": "long"}, "map"),
        (TYPE, "enum 'T'"),
        (FIXED_UUID, "uuid"),
    ],
)
def test_anything_else_at_the_top_is_refused_by_name(spec: Any, given: str) -> None:
    expected = f"the Avro schema must be a record, or a string that holds JSON, not {given}"
    assert refusal(avro_schema(spec), b"\2a") == expected
