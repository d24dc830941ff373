"""Readers of all kinds: any bytes by any schema become JSON or a refusal, and an event is the same through each."""

import base64
import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core.envelope.frames import Reader
from pipeline.core.event import decode_event
from pipeline.core.exact import EARLIEST_MS, LATEST_MS, FieldError
from pipeline.registry.payloads.readers import reader_of
from pipeline.registry.payloads.refused import PayloadRefused
from pipeline.registry.schema import Schema, SchemaKind
from schemas.instant import EPOCH
from schemas.message_event import CHARGED, FAILED, TYPES
from tests.support.registered import (
    add_field,
    avro,
    avro_payload,
    avro_schema,
    field,
    proto_class,
    proto_file,
    proto_schema,
)

SYMBOLS = [name.upper().replace(".", "_") for name in TYPES]
AVRO = avro(
    field("event_id", "string"),
    field("ignored", {"type": "map", "values": ["null", "double", {"type": "array", "items": "string"}]}),
    field("type", {"type": "enum", "name": "Type", "symbols": SYMBOLS}),
    field("org_id", "string"),
    field("channel", "string"),
    field("occurred_at", {"type": "long", "logicalType": "timestamp-micros"}),
    field("error_code", ["null", "string"], default=None),
    field("cost_cents", ["null", {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6}]),
)


def proto_event() -> Any:
    file = proto_file()
    file.dependency.extend(["google/protobuf/timestamp.proto", "google/type/decimal.proto"])
    message = file.message_type.add(name="Event")
    for name in ("event_id", "org_id", "channel"):
        add_field(message, name, "string")
    add_field(message, "type", ".acme.Type", type=FieldDescriptorProto.TYPE_ENUM)
    add_field(message, "occurred_at", ".google.protobuf.Timestamp")
    add_field(message, "error_code", "string", proto3_optional=True, oneof_index=0)
    add_field(message, "cost_cents", ".google.type.Decimal")
    message.oneof_decl.add(name="_error_code")
    enum = file.enum_type.add(name="Type")
    for number, symbol in enumerate(["UNSPECIFIED", *SYMBOLS]):
        enum.value.add(name=symbol, number=number)
    return file


PROTO = proto_event()
PROTO_CLASS = proto_class(PROTO, "acme.Event")
TREE = {"type": "array", "items": {"type": "map", "values": ["null", "bytes", {"type": "array", "items": "int"}]}}
CLOUD = avro(
    field("specversion", "string"),
    field("time", [{"type": "long", "logicalType": "timestamp-nanos"}, "string"]),
    field("tree", TREE),
    field("data", [AVRO, "string", "double"]),
    field(
        "cost_cents", ["double", {"type": "fixed", "name": "D", "size": 9, "logicalType": "decimal", "precision": 20}]
    ),
    field("id", {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}),
)
READERS = {
    "avro": reader_of(avro_schema(AVRO)),
    "avro string": reader_of(avro_schema("string")),
    "cloud event": reader_of(avro_schema(CLOUD)),
    "bytes": reader_of(avro_schema("bytes")),
    "protobuf": reader_of(proto_schema(PROTO)),
    "broken": reader_of(Schema(SchemaKind.PROTOBUF, "?")),
}


def nudged(payload: bytes) -> st.SearchStrategy[bytes]:
    """Payloads beside a valid one: with some bytes replaced, taken out or put in."""
    at, piece = st.integers(0, len(payload)), st.binary(max_size=3)
    return st.builds(lambda a, b, p: payload[:a] + p + payload[a + b :], at, st.integers(0, 3), piece)


def valid_avro() -> bytes:
    event = {"event_id": "e1", "type": SYMBOLS[2], "org_id": "acme", "channel": "sms", "error_code": "E"}
    noon = dt.datetime(2026, 5, 5, 12, tzinfo=dt.UTC)
    return avro_payload(
        AVRO, event | {"occurred_at": noon, "cost_cents": Decimal("0.75"), "ignored": {"a": 0.5, "b": ["c"], "d": None}}
    )


def valid_proto() -> bytes:
    event = PROTO_CLASS(event_id="e1", type=3, org_id="acme", channel="sms", error_code="E")
    event.occurred_at.seconds, event.cost_cents.value = 1777982400, "0.75"
    return b"\0" + bytes(event.SerializeToString())


@given(
    st.binary(max_size=80) | nudged(valid_avro()) | nudged(valid_proto()) | st.binary(max_size=60).map(b"\0".__add__)
)
@example(b"")
@example(b"\0")
def test_any_bytes_become_json_or_a_refusal(payload: bytes) -> None:
    for reader in READERS.values():
        assert reads_or_refuses(reader, payload)


def reads_or_refuses(reader: Reader, payload: bytes) -> bool:
    """Whether a payload becomes JSON, or is refused with a sentence. Raises whatever else it raises."""
    try:
        answer = reader(payload)
    except (FieldError, PayloadRefused) as refusal:
        return bool(str(refusal))
    return isinstance(json.loads(answer, parse_constant=pytest.fail), dict | str)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["record", "array", "string", "R"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "name", "fields", "items", "values", "symbols", "size", "logicalType", "namespace"]
            ),
            inner,
            max_size=5,
        )
    ),
)


@given(ANY_JSON, st.binary(max_size=20))
def test_any_json_as_a_schema_gives_a_reader(spec: Any, payload: bytes) -> None:
    within = avro(field("event_id", spec), field("org_id", "string"))
    assert all(reads_or_refuses(reader_of(avro_schema(each)), payload) for each in (spec, within))


@given(nudged(PROTO.SerializeToString()), st.binary(max_size=20))
def test_any_file_as_a_schema_gives_a_reader(file: bytes, payload: bytes) -> None:
    schema = Schema(SchemaKind.PROTOBUF, base64.b64encode(file).decode())
    assert reads_or_refuses(reader_of(schema), b"\0" + payload)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
times = st.integers(EARLIEST_MS * 1000, LATEST_MS * 1000 - 1).map(lambda us: EPOCH + dt.timedelta(microseconds=us))
costs = st.decimals(-(10**12) + 1, 10**12 - 1, allow_nan=False, places=6)


@given(names, names, st.from_regex(r"[a-z0-9_.-]{1,32}", fullmatch=True), names | st.none(), costs, times)
def test_an_event_is_the_same_through_avro_protobuf_and_json(
    event_id: str, org_id: str, channel: str, error_code: str | None, amount: Decimal, at: dt.datetime
) -> None:
    """A credit where the amount is negative, else a failure; one of 0 has no cost."""
    kind, cost = (CHARGED if amount < 0 else FAILED), amount or None
    event: dict[str, Any] = {"event_id": event_id, "org_id": org_id, "channel": channel}
    event["error_code"] = error_code if kind == FAILED else None
    written = event | {"type": TYPES[kind - 1], "occurred_at": at.isoformat().replace("+00:00", "Z")}
    if cost is not None:
        written["cost_cents"] = f"{cost:f}"
    expected = told(json.dumps(written).encode())
    record = event | {"type": SYMBOLS[kind - 1], "occurred_at": at, "cost_cents": cost, "ignored": {}}
    assert told(READERS["avro"](avro_payload(AVRO, record))) == expected
    message = PROTO_CLASS(**event, type=kind)
    message.occurred_at.FromDatetime(at)
    if cost is not None:
        message.cost_cents.value = str(cost)
    assert told(READERS["protobuf"](b"\0" + message.SerializeToString())) == expected


def told(value: bytes) -> Any:
    """The event as decoded, but for the texts of its time and cost, whose values stand beside it."""
    event, micros, occurred_ms = decode_event(value)
    return event.event_id, event.org_id, event.type, event.channel, event.error_code, micros, occurred_ms


@given(st.binary())
def test_json_is_returned_as_it_is(payload: bytes) -> None:
    assert reader_of(Schema(SchemaKind.JSON, "not looked at"))(payload) is payload


def test_without_the_extra_all_but_protobuf_is_read() -> None:
    program = """
import sys
sys.modules["google"] = sys.modules["google.protobuf"] = sys.modules["fastavro"] = None
from pipeline.registry.payloads.readers import reader_of
from pipeline.registry.schema import Schema, SchemaKind
assert reader_of(Schema(SchemaKind.JSON, ""))(b"{}") == b"{}"
assert reader_of(Schema(SchemaKind.AVRO, '"string"'))(bytes([2, 97])) == b'"a"'
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_fails_in_a_way_nobody_foresaw_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_schema: Schema) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("pipeline.registry.payloads.readers.avro_reader", fail)
    with pytest.raises(PayloadRefused, match="the AVRO schema cannot be read: ZeroDivisionError"):
        reader_of(avro_schema("string"))(b"")

    def reader(_payload: bytes) -> bytes:
        raise MemoryError

    monkeypatch.setattr("pipeline.registry.payloads.readers.avro_reader", lambda _schema: reader)
    with pytest.raises(PayloadRefused, match="the payload cannot be read by its schema: MemoryError"):
        reader_of(avro_schema("string"))(b"")
