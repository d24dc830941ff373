"""Connect's schema and payload, strings, and frames of a schema registry."""

import base64
import json
from typing import Any
from uuid import UUID

import pytest

from pipeline.core.envelope.frames import Readers, needed
from pipeline.core.exact import FieldError
from pipeline.core.refusal import Refused
from schemas.message_event import DeadLetterReason
from tests.support.envelopes import Sent, in_connect, in_frame, in_string
from tests.support.judging import COMPLETE, letter, only_row, read

PLAIN = Sent(json.dumps(COMPLETE).encode())
DECIMAL = "org.apache.kafka.connect.data.Decimal"
TIMESTAMP = "org.apache.kafka.connect.data.Timestamp"


def connect(changes: dict[str, Any], kind: str, name: str | None = None) -> Sent:
    """A payload of which one field has a type of its own."""
    (field,) = changes
    fields = [{"field": f, "type": "string", "optional": True} for f in COMPLETE if f != field]
    fields.append({"field": field, "type": kind, "name": name, "optional": True})
    return Sent(in_connect(json.dumps(COMPLETE | changes).encode(), {"type": "struct", "fields": fields}))


# -- Connect ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", [None, {}, [], "x", {"fields": 1}, {"fields": [1, {"field": 1}, {"type": "bytes"}]}])
def test_a_payload_is_the_event_whatever_the_schema_is(schema: Any) -> None:
    assert only_row(Sent(in_connect(PLAIN.value, schema))) == only_row(PLAIN)


def test_a_decimal_in_base64_is_refused_with_the_option_that_helps() -> None:
    """It may look like another number: these are the bytes of 13.82 with two decimals."""
    encoded = base64.b64encode((0xD76DF8 * 100).to_bytes(4, "big")).decode()
    for text in (encoded, "1200", "0075"):
        refused = letter(connect({"cost_cents": text}, "bytes", DECIMAL))
        assert "Connect's schema and payload: cost_cents must be a JSON number" in refused.detail
        assert refused.detail.endswith(f"decimal.format=NUMERIC, not '{text}'")
        assert refused.org_id == "acme"


def test_a_decimal_as_a_number_is_exact() -> None:
    sent = connect({"cost_cents": "X"}, "bytes", DECIMAL)
    assert only_row(Sent(sent.value.replace(b'"X"', b"0.100000")))["cost_micros"] == 100_000


@pytest.mark.parametrize("field", ["event_id", "org_id", "channel", "error_code", "cost_cents"])
def test_bytes_are_refused(field: str) -> None:
    refused = letter(connect({field: "12345"}, "bytes"))
    assert f"{field} must be a string, since bytes come as base64, not '12345'" in refused.detail


@pytest.mark.parametrize("value", [0.75, "0.75"])
def test_a_float_of_32_bits_is_refused(value: Any) -> None:
    assert "since a float of 32 bits is not exact, not" in letter(connect({"cost_cents": value}, "float")).detail


def test_a_double_is_its_text() -> None:
    assert only_row(connect({"cost_cents": 0.75}, "double")) == only_row(PLAIN)


@pytest.mark.parametrize(("kind", "name"), [("int64", TIMESTAMP), ("int64", None), ("int32", "io.debezium.time.Date")])
def test_a_time_as_an_integer_is_refused_with_what_makes_a_text_of_it(kind: str, name: str | None) -> None:
    refused = letter(connect({"occurred_at": 1_777_981_500_000}, kind, name))
    assert f"which Connect's TimestampConverter makes of {(name or kind)!r} (target.type=string" in refused.detail


def test_a_field_that_is_null_is_absent_whatever_its_type() -> None:
    assert only_row(connect({"cost_cents": None}, "bytes", DECIMAL))["cost_micros"] == 0


def test_the_schema_of_a_cloud_event_in_a_payload_is_read_too() -> None:
    inner = {"type": "struct", "field": "data", "fields": [{"field": "cost_cents", "type": "bytes", "name": DECIMAL}]}
    event = {"specversion": "1.0", "data": COMPLETE | {"cost_cents": "1200"}}
    refused = letter(Sent(in_connect(json.dumps(event).encode(), {"type": "struct", "fields": [inner]})))
    assert "cost_cents must be a JSON number, as" in refused.detail


@pytest.mark.parametrize("schema", [b'{"type": 1e999}', b'{"type": ' + b"9" * 5000 + b"}"])
def test_a_schema_that_cannot_be_read_tells_nothing(schema: bytes) -> None:
    assert only_row(Sent(b'{"schema": ' + schema + b', "payload": ' + PLAIN.value + b"}")) == only_row(PLAIN)


def test_a_sentence_on_a_schema_stays_short() -> None:
    assert len(letter(connect({"occurred_at": 7}, "int64", "A" * 900_000)).detail) < 1000


def test_a_payload_that_is_null_is_empty() -> None:
    assert letter(Sent(in_connect(b"null"))).reason == "empty"


def test_an_object_with_more_than_schema_and_payload_is_none_of_connects() -> None:
    refused = letter(Sent(in_connect(PLAIN.value)[:-1] + b', "x": 1}'))
    assert refused.detail.startswith("event_id is required and missing")


def test_a_changed_row_of_debezium_is_refused_by_name() -> None:
    change = json.dumps({"before": None, "after": COMPLETE, "op": "c", "source": {}}).encode()
    for sent in (Sent(change), Sent(in_connect(change))):
        assert "is a change of a row, as Debezium sends it; publish events of their own" in letter(sent).detail


@pytest.mark.parametrize("value", [b'"text"', b'"[1]"', b'""', rb'"\ud83d"'])
def test_a_string_that_holds_no_object_is_no_envelope(value: bytes) -> None:
    assert "a JSON string" not in letter(Sent(value)).detail


def test_an_event_in_two_strings_is_refused() -> None:
    assert letter(Sent(in_string(in_string(PLAIN.value)))).reason == "invalid_field"


# -- frames -------------------------------------------------------------------------------------------------------

GUID = UUID("3f2a8c1e-5b7d-4e9f-a6c2-8d4b1f0e7a93")


def by_header(header: bytes, value: bytes = b"\x0apayload") -> Sent:
    return Sent(value, (("__value_schema_id", header),))


def test_json_in_a_frame_never_asks() -> None:
    for sent in (Sent(in_frame(PLAIN.value)), by_header(b"\1" + GUID.bytes, PLAIN.value)):
        assert needed(sent.value, dict(headers_of(sent))) is None
        assert only_row(sent, readers={}) == only_row(PLAIN)


def headers_of(sent: Sent) -> list[tuple[bytes, bytes | None]]:
    return [(name.encode(), value) for name, value in sent.headers]


@pytest.mark.parametrize(
    ("sent", "key", "payload"),
    [
        (Sent(in_frame(b"\x0apayload", 258)), 258, b"\x0apayload"),
        (Sent(in_frame(b"", 2**31 - 1)), 2**31 - 1, b""),
        (by_header(b"\1" + GUID.bytes), str(GUID), b"\x0apayload"),
        (by_header(b"\1" + GUID.bytes + b"\x04\x02\x00"), str(GUID), b"\x04\x02\x00\x0apayload"),
        (by_header(b"\0\0\0\1\2"), 258, b"\x0apayload"),
    ],
)
def test_a_payload_is_read_by_the_schema_that_its_frame_names(sent: Sent, key: int | str, payload: bytes) -> None:
    seen = []

    def reader(given: bytes) -> bytes:
        seen.append(given)
        return PLAIN.value

    assert needed(sent.value, dict(headers_of(sent))) == key
    assert only_row(sent, readers={key: reader}) == only_row(PLAIN)
    assert seen == [payload]


@pytest.mark.parametrize("blank", [b" ", b"\n", b"\r\n\t"])
def test_an_event_behind_blanks_is_json_too(blank: bytes) -> None:
    spaced = blank + PLAIN.value
    for sent in (Sent(spaced), Sent(in_frame(spaced)), by_header(b"\1" + GUID.bytes, spaced), by_header(b"7", spaced)):
        assert needed(sent.value, dict(headers_of(sent))) is None
        assert only_row(sent, readers={}) == only_row(PLAIN)


def test_a_text_of_avro_that_looks_like_the_beginning_of_an_object_is_none() -> None:
    """Its length, 5, is the byte of a line feed."""
    payload = b"\x0a{abcd"
    for sent, key in ((Sent(in_frame(payload)), 7), (by_header(b"\1" + GUID.bytes, payload), str(GUID))):
        assert needed(sent.value, dict(headers_of(sent))) == key
        assert only_row(sent, readers={key: lambda _: PLAIN.value}) == only_row(PLAIN)


@pytest.mark.parametrize("value", [in_string(PLAIN.value), in_frame(PLAIN.value)])
def test_a_header_with_a_schema_decides_also_behind_records_without_one(value: bytes) -> None:
    """What would be read as a string, or as JSON in a frame, is Avro by its header."""
    other = json.dumps(COMPLETE | {"event_id": "by the reader"}).encode()
    readers: Readers = {str(GUID): lambda _: other}
    rows, letters = read(Sent(value), by_header(b"\1" + GUID.bytes, value), readers=readers)
    assert letters == []
    assert rows.event_id == ["e1", "by the reader"]


def test_without_a_registry_a_letter_names_the_setting() -> None:
    for sent in (Sent(in_frame(b"\x0apayload", 258)), by_header(b"\1" + GUID.bytes)):
        refused = letter(sent)
        assert refused.reason == "unknown_schema"
        assert "a schema registry's frame: its schema " in refused.detail
        assert "MSGMETRICS_SCHEMA_REGISTRY_URL" in refused.detail


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (Sent(b"\0\0\0\0\0\0\0\0\7\x0apayload"), "ids of 8 bytes are not read"),
        (Sent(b"\0\0\0\1"), "it is none of Confluent's"),
        (Sent(in_frame(b"\x0apayload", 2**31)), "it is none of Confluent's"),
        (by_header(b"\1" + bytes(15)), "it is none of Confluent's"),
        (by_header(b"7"), "it is none of Confluent's"),
    ],
)
def test_other_frames_are_refused_by_name(sent: Sent, why: str) -> None:
    assert needed(sent.value, dict(headers_of(sent))) is None
    assert only_row(Sent(PLAIN.value, sent.headers)) == only_row(PLAIN)
    refused = letter(sent, readers={})
    assert refused.reason == "malformed_json"
    assert why in refused.detail


@pytest.mark.parametrize(
    ("error", "reason", "sentence"),
    [
        (FieldError("cost_cents", "must not be a float"), "invalid_field", "cost_cents must not be a float"),
        (Refused(DeadLetterReason.UNKNOWN_SCHEMA, "schema 7 is unknown"), "unknown_schema", "schema 7 is unknown"),
        (RuntimeError("odd"), "invalid_field", "cannot be read as an event: RuntimeError('odd')"),
        (RecursionError(), "malformed_json", "nested too deeply"),
    ],
)
def test_whatever_a_reader_raises_is_a_letter(error: Exception, reason: str, sentence: str) -> None:
    def reader(_: bytes) -> bytes:
        raise error

    readers: Readers = {7: reader}
    refused = letter(Sent(in_frame(b"\x0apayload")), readers)
    assert refused.reason == reason
    assert sentence in refused.detail


def test_a_letter_is_attributed_through_a_reader() -> None:
    broken = json.dumps(COMPLETE | {"channel": "SMS"}).encode()
    refused = letter(Sent(in_frame(b"\x0apayload")), {7: lambda _: broken})
    assert (refused.org_id, refused.event_id, refused.type) == ("acme", "e1", "message.failed")
    assert refused.detail.startswith("a schema registry's frame: channel must be")


def test_what_a_reader_returns_may_be_an_envelope_itself() -> None:
    """Debezium's outbox through Connect's AvroConverter is a string."""
    assert only_row(Sent(in_frame(b"\x0apayload")), {7: lambda _: in_string(PLAIN.value)}) == only_row(PLAIN)
