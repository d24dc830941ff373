"""Lines are records' values, or whole records; which of the two is never in doubt."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.dead_letters import as_line
from deploy.cli.event_file import LONGEST_RECORD
from deploy.cli.letters import Letter
from deploy.cli.record_lines import BrokenLine, LineRecord, record_of
from pipeline.core.place import Place
from tests.support.envelopes import KINDS
from tests.support.producing import event

LETTER = Letter(
    Place("message-events", 3), 7, 0, "invalid_field", "why", "acme", "a-1", "message.sent",
    1, 1_777_975_200_123, 3, b"acme", b"x", (), 0, False,
)  # fmt: skip
BYTES = st.none() | st.binary(max_size=20)
HEADER_RULE = "headers[0] must be an object with name (or name_base64) and value_base64, and nothing else"
TIME_RULE = (
    "record_at must be an RFC 3339 date-time with offset, like 2026-05-05T00:00:00Z or 2026-05-05T02:00:00+02:00, "
    "or null for none"
)


@given(
    key=BYTES, value=BYTES,
    headers=st.lists(st.tuples(st.binary(max_size=5) | st.just(b"ce_id"), BYTES), max_size=3),
    record_ms=st.integers(0, 4_133_980_799_999),
)  # fmt: skip
def test_an_exported_letter_is_read_as_the_record_that_it_was(
    key: bytes | None, value: bytes | None, headers: list[tuple[bytes, bytes | None]], record_ms: int
) -> None:
    letter = replace(LETTER, key=key, value=value, headers=tuple(headers), record_ms=record_ms)
    read = record_of(4, as_line(letter).encode())
    assert read == LineRecord(4, value, record_ms or None, key, tuple(headers))


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_without_the_mark_is_a_value_whatever_is_around_its_event(kind: str) -> None:
    value = KINDS[kind](event(1)).value
    assert record_of(1, value) == LineRecord(1, value)


@pytest.mark.parametrize(
    "line",
    [
        event(1, value_base64="eA=="),
        event(1, note='"value_base64"'),
        b'{"note": {"value_base64": "eA=="}}',
        b'["value_base64"]',
        b'"value_base64"',
        b'{"value_base64": "eA=="',
        b'{"value_base64": "eA=="} {}',
        b"[" * 100_000 + b'"value_base64"',
    ],
    ids=["an event", "a text", "deeper", "a list", "a string", "cut", "two", "nested too deeply"],
)
def test_what_is_an_event_or_no_object_with_the_mark_is_a_value(line: bytes) -> None:
    assert record_of(1, line) == LineRecord(1, line)


def test_an_object_with_the_mark_that_is_no_valid_event_is_a_whole_record() -> None:
    line = event(1, value_base64="eA==", channel="SMS")
    assert record_of(1, line) == LineRecord(1, b"x")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"value_base64": "eA"}, "value_base64 must be base64, or null for no value"),
        ({"value_base64": 7}, "value_base64 must be base64, or null for no value"),
        ({"value_base64": "e A=="}, "value_base64 must be base64, or null for no value"),
        ({"key_base64": "-_=="}, "key_base64 must be base64, or null for no key"),
        ({"record_at": 7}, TIME_RULE),
        ({"record_at": "yesterday"}, TIME_RULE),
        ({"record_at": "2026-05-05T00:00:00"}, TIME_RULE),
        ({"headers": None}, "headers must be a list of headers"),
        ({"headers": {"ce_id": "1"}}, "headers must be a list of headers"),
        ({"headers": ["ce_id"]}, HEADER_RULE),
        ({"headers": [{"name": "ce_id", "value": "1"}]}, HEADER_RULE),
        ({"headers": [{"name": "ce_id", "value_base64": "MQ==", "more": 1}]}, HEADER_RULE),
        ({"headers": [{"value_base64": "MQ=="}]}, HEADER_RULE),
        ({"headers": [{"name": "a", "name_base64": "YQ==", "value_base64": "MQ=="}]}, HEADER_RULE),
        ({"headers": [{"name": 1, "value_base64": "MQ=="}]}, "headers[0].name must be a string"),
        ({"headers": [{"name_base64": "a", "value_base64": None}]}, "headers[0].name_base64 must be base64"),
        (
            {"headers": [{"name": "a", "value_base64": None}, {"name": "b", "value_base64": "b"}]},
            "headers[1].value_base64 must be base64, or null for no value",
        ),
    ],
)
def test_a_broken_record_is_named_by_its_field(fields: dict[str, object], said: str) -> None:
    with pytest.raises(BrokenLine) as broken:
        record_of(1, json.dumps({"value_base64": "eA==", **fields}).encode())
    assert str(broken.value) == said


def test_a_record_may_be_longer_than_an_event_and_not_endless() -> None:
    value = bytes(1 << 20)
    line = json.dumps({"value_base64": base64.b64encode(value).decode()}).encode()
    assert record_of(1, line).value == value
    with pytest.raises(BrokenLine, match="longer than 2097152 bytes"):
        record_of(1, b" " * (LONGEST_RECORD + 1))
