"""An envelope never changes an event, and any bytes are a row or a letter."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.message_event import TYPES
from tests.support import envelopes
from tests.support.envelopes import CLOUD_EVENTS, KINDS, WRAPPERS, Sent, binary_headers, in_frame, in_string, nested
from tests.support.judging import COMPLETE, read

HALF = r"\ud83d"


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
COSTS = st.sampled_from(['"0.75"', "0.75", "7.5e-1", '"007.500000"', "999999999999.999999", "null", "0.1"])
AMOUNTS = st.sampled_from(['"-0.05"', "-7.5e-1", '"0.75"', "-999999999999.999999", '"-0"', "-0.0"])
EXTRAS = st.sampled_from(
    ["", f', "note": "{HALF}"', ', "specversion": "1.0"', ', "data": {"x": [1]}', ', "n": 1e400', ', "schema": 1']
)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """The JSON text of a valid event, as its bytes are: numbers, escapes and ignored fields as they are written."""
    kind = draw(st.sampled_from(TYPES))
    event: dict[str, Any] = {
        "event_id": draw(text),
        "type": kind,
        "org_id": draw(text),
        "channel": draw(st.from_regex(r"[a-z0-9_.-]{1,32}", fullmatch=True).filter(lambda c: c != "__other__")),
        "occurred_at": draw(st.sampled_from(["2026-05-05T11:59:59.1239Z", "2026-05-05T13:59:59+02:00"])),
    }
    if kind == "message.failed":
        event["error_code"] = draw(st.one_of(st.none(), text.filter(lambda c: c != "__other__")))
    raw = json.dumps(event, ensure_ascii=draw(st.booleans()))
    cost = draw(AMOUNTS if kind == "message.charged" else COSTS)
    return f'{raw[:-1]}, "cost_cents": {cost}{draw(EXTRAS)}}}'.encode()


@st.composite
def chains(draw: st.DrawFn) -> list[Callable[[bytes], bytes]]:
    """Any order of envelopes, each kind once at most."""
    order = draw(st.permutations(WRAPPERS))[: draw(st.integers(0, len(WRAPPERS)))]
    clouds = [wrap for wrap in order if wrap in CLOUD_EVENTS]
    return [wrap for wrap in order if wrap not in clouds[1:]]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=2), max_leaves=3
)
names = st.sampled_from(["content-type", "ce_id", "ce_type", "ce_source", "ce_time", "ce_subject", "id", "traceparent"])
telling = st.sampled_from(
    [
        *(("content-type", f"application/cloudevents{form}".encode()) for form in ("+json", "-batch+json", "+avro")),
        *(("ce_specversion", version) for version in (b"1.0", b"0.3")),
        *(("__value_schema_id", schema) for schema in (b"\1" + bytes(16), b"\0\0\0\0\7", b"7", None)),
    ]
)
headers = st.lists(st.one_of(st.tuples(names, st.one_of(st.none(), st.binary(max_size=8))), telling), max_size=5).map(
    tuple
)


@given(events(), chains(), st.booleans())
def test_the_same_event_in_any_envelopes_is_the_same_row(
    event: bytes, wrappers: list[Callable[[bytes], bytes]], in_a_frame: bool
) -> None:
    plain = read(Sent(event))
    assert plain[1] == []
    value = nested(event, wrappers)
    if in_a_frame and value.startswith(b"{"):
        value = in_frame(value)
    assert read(Sent(value)) == plain
    if not CLOUD_EVENTS & {*wrappers}:
        assert read(Sent(value, binary_headers())) == plain


@given(events(), headers)
def test_a_plain_event_is_that_whatever_its_headers_say(event: bytes, others: Any) -> None:
    for media in (b"application/cloudevents+json", b"application/cloudevents-batch+json", b"application/avro"):
        for more in ((), (("ce_specversion", b"0.3"),), (("__value_schema_id", b"\1" + bytes(16)),)):
            assert read(Sent(event, (*others, ("content-type", media), *more))) == read(Sent(event))


@given(events(), st.dictionaries(st.sampled_from(["id", "source", "type", "time", "subject", "dataschema"]), anything))
def test_attributes_at_random_change_nothing_where_the_data_is_complete(event: bytes, attributes: Any) -> None:
    assert read(Sent(envelopes.structured(event, attributes))) == read(Sent(event))


@given(events(), headers)
def test_headers_at_random_change_nothing_where_the_data_is_complete(event: bytes, others: Any) -> None:
    assert read(Sent(event, (*others, *binary_headers()))) == read(Sent(event))


@given(events(), chains(), st.integers(0, 9), headers, st.sampled_from(sorted(KINDS)))
def test_what_stands_before_a_record_changes_nothing(
    event: bytes, wrappers: list[Callable[[bytes], bytes]], cut: int, some: Any, kind: str
) -> None:
    """A record is first tried as what the one before it was."""
    value = nested(event, wrappers)
    sent = Sent(value[: len(value) - cut], some)
    (alone, letters), (behind, others) = read(sent), read(KINDS[kind](json.dumps(COMPLETE).encode()), sent)
    assert letters == others
    assert behind.only([False] + [True] * len(alone)) == alone


pieces = st.sampled_from(
    [
        b'{"specversion":"1.0","data":',
        b'{"schema":null,"payload":',
        b'"',
        b"{",
        b"}",
        b"\0\0\0\0\7",
        b"\\ud83d",
        b"\xff",
    ]
)
soup = st.lists(st.one_of(pieces, st.binary(max_size=5), events().map(lambda e: e[:40])), max_size=8).map(b"".join)


@given(st.one_of(soup, soup.map(lambda x: in_string(x.decode(errors="replace").encode()))), headers)
def test_any_bytes_under_any_headers_are_one_row_or_one_letter(value: bytes, some: Any) -> None:
    for extra in ((), binary_headers(), (("__value_schema_id", b"\1" + bytes(16)),)):
        rows, letters = read(Sent(value, (*some, *extra)))
        assert len(rows) + len(letters) == 1
        for letter in letters:
            assert letter.value == value
            assert letter.detail.isprintable()
            assert len(letter.detail) < 1000


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_of_the_greatest_size_fits_in_every_envelope(kind: str) -> None:
    event = {
        "event_id": "e",
        "type": "message.sent",
        "org_id": "o",
        "channel": "c",
        "occurred_at": "2026-05-05T11:00:00Z",
    }
    raw = json.dumps(event | {"pad": ""}).encode()
    largest, larger = (raw.replace(b'""', b'"' + b"x" * (size - len(raw)) + b'"') for size in (65_536, 65_537))
    assert len(largest) == 65_536
    assert read(KINDS[kind](largest)) == read(Sent(largest))
    assert read(KINDS[kind](larger))[1][0].reason == "too_large"


def test_the_fields_of_an_event_survive_msgspecs_own_spelling() -> None:
    """What attributes fill is encoded anew: all else must stay as it was, digits and escapes too."""
    event = rb'{"org_id":"\u00e4","channel":"c","cost_cents":1.10e0,"occurred_at":"2026-05-05T11:00:00Z"}'
    rows, letters = read(Sent(envelopes.structured(event)))
    assert letters == []
    assert (rows.org_id, rows.cost_micros, rows.event_id) == (["ä"], [1_100_000], ["/messaging 5f3c1a2e"])
    assert msgspec.json.encode({"a": msgspec.Raw(b"1.10e0")}) == b'{"a":1.10e0}'
