"""Events are sent in the envelopes of other systems as their specifications have them, byte by byte."""

import re
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.enveloping import EnvelopeName, Wrap, Wrapped, wrap_of
from deploy.cli.main import cli
from deploy.errors import CommandError
from pipeline.core.event import decode_event
from pipeline.core.opening import decode_record
from schemas.message_event import MAX_EVENT_BYTES, TYPES
from schemas.settings import Settings
from tests.support.producing import FakeProducer, event, produce

EVENT = (
    b'{"event_id": "a \\"1\\" \xc3\xbc", "type":"message.sent","org_id": "acme", "channel": "sms",'
    b' "cost_cents": 0.7500, "occurred_at": "2026-05-05T10:15:00.1234567+02:00", "note": "\\ud83d"}'
)
WRAPS: dict[str, Wrap] = {
    "plain": wrap_of(EnvelopeName.PLAIN, None, None),
    "cloudevents": wrap_of(EnvelopeName.CLOUDEVENTS, None, None),
    "cloudevents from a source": wrap_of(EnvelopeName.CLOUDEVENTS, "https://shop.example/" + "x" * 235, None),
    "cloudevents-binary": wrap_of(EnvelopeName.CLOUDEVENTS_BINARY, "/shop", None),
    "confluent-json": wrap_of(EnvelopeName.CONFLUENT_JSON, None, 2**31 - 1),
}


def wrapped(name: str, source: str | None = None, schema_id: int | None = None) -> Wrapped:
    return wrap_of(EnvelopeName(name), source, schema_id)(EVENT, decode_event(EVENT)[0])


def test_plain_is_the_line_alone() -> None:
    assert wrapped("plain") == (EVENT, [])


def test_a_structured_cloud_event_has_attributes_and_the_event_as_it_is() -> None:
    value, headers = wrapped("cloudevents")
    assert value == (
        b'{"specversion":"1.0","id":"acme/message.sent/a \\"1\\" \xc3\xbc","source":"msgmetrics","type":"message.sent",'
        b'"time":"2026-05-05T10:15:00.1234567+02:00","datacontenttype":"application/json","data":' + EVENT + b"}"
    )
    assert headers == [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def test_a_binary_cloud_event_has_attributes_in_headers() -> None:
    value, headers = wrapped("cloudevents-binary", "/shop")
    assert value == EVENT
    assert headers == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b'acme/message.sent/a "1" \xc3\xbc'),
        ("ce_source", b"/shop"),
        ("ce_type", b"message.sent"),
        ("ce_time", b"2026-05-05T10:15:00.1234567+02:00"),
        ("content-type", b"application/json"),
    ]


@pytest.mark.parametrize(
    ("schema_id", "head"), [(1, b"\0\0\0\0\x01"), (258, b"\0\0\0\x01\x02"), (2**31 - 1, b"\0\x7f\xff\xff\xff")]
)
def test_a_frame_is_a_zero_and_the_number_of_the_schema(schema_id: int, head: bytes) -> None:
    assert wrapped("confluent-json", schema_id=schema_id) == (head + EVENT, [])


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)


@given(
    name=st.sampled_from([*WRAPS]),
    event_id=TEXTS,
    org=TEXTS,
    kind=st.sampled_from(TYPES),
    at=st.sampled_from(["2026-05-05T10:15:00Z", "2026-05-05t10:15:00.999999+02:00", "2000-01-01T00:00:00-00:00"]),
    more=st.dictionaries(
        st.sampled_from(["cost_cents", "note", "data", "specversion", "payload", "schema"]),
        st.sampled_from(["0.000001", 7, None, "\ud83d", "-12"]),
    ),
)
def test_what_is_sent_is_the_same_event_in_every_envelope(
    name: str, event_id: str, org: str, kind: str, at: str, more: dict[str, Any]
) -> None:
    line = event(1, at, **(more | {"event_id": event_id, "org_id": org, "type": kind}))
    try:
        decoded = decode_event(line)
    except Exception:
        return  # such a line is not sent
    value, headers = WRAPS[name](line, decoded[0])
    assert decode_record(value, headers, None) == decoded


@pytest.mark.parametrize("name", WRAPS)
def test_the_greatest_event_is_still_read(name: str) -> None:
    empty = event(1, event_id="\x01" * 128, note="")
    line = event(1, event_id="\x01" * 128, note="x" * (MAX_EVENT_BYTES - len(empty)))
    decoded = decode_event(line)
    value, headers = WRAPS[name](line, decoded[0])
    assert len(line) == MAX_EVENT_BYTES
    assert decode_record(value, headers, None) == decoded


@pytest.mark.parametrize("name", WRAPS)
def test_every_event_of_a_file_is_sent_in_its_envelope(where: Settings, file: Any, name: str) -> None:
    producer = FakeProducer()
    assert produce(where, file, producer, wrap=WRAPS[name]) == "10 events sent to message-events"
    expected = [WRAPS[name](line, decode_event(line)[0]) for line in map(event, range(10))]
    assert list(zip(producer.sent, producer.headers, strict=True)) == expected
    assert producer.keys == [f"o{n % 3}" for n in range(10)]


@pytest.mark.parametrize("name", WRAPS)
def test_the_first_that_is_refused_is_named_in_every_envelope(where: Settings, file: Any, name: str) -> None:
    producer = FakeProducer(lambda _: KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"))
    with pytest.raises(CommandError, match=r"10 refused \(too large; the first is event '0' of 'o0'\)"):
        produce(where, file, producer, wrap=WRAPS[name])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--envelope confluent-json", "--envelope confluent-json needs --schema-id, the number that the schema regis"),
        ("--envelope confluent-json --schema-id 0", "1<=x<=2147483647"),
        ("--envelope confluent-json --schema-id 2147483648", "1<=x<=2147483647"),
        ("--schema-id 7", "--schema-id goes with --envelope confluent-json alone"),
        ("--envelope cloudevents --schema-id 7", "--schema-id goes with --envelope confluent-json alone"),
        ("--source /shop", "--source goes with --envelope cloudevents or cloudevents-binary alone"),
        ("--envelope cloudevents --source=", "a source is a URI, or a part of one: 1 to 256 characters of ASCII"),
        ("--envelope cloudevents-binary --source a\u00a0b", r"not 'a\xa0b'"),
        ("--envelope avro", "'avro' is not one of"),
    ],
)
def test_a_wrong_choice_is_told_before_anything_is_read(words: str, said: str) -> None:
    result = CliRunner().invoke(cli, ["produce", "/no/such/file", *words.split(" ")])
    assert said in re.sub(r"\s+", " ", f"{result.output} {result.exception}")
    assert (getattr(result.exception, "exit_code", None) or result.exit_code) == 2
