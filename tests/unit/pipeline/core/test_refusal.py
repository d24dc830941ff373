"""What a refusal says: the field, the rule, what was given, what the bytes look like; and whom the letter names."""

import bz2
import gzip
import json
import lzma
import re
import zlib
from typing import Any

import lz4.frame
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.decode import decode_batch
from pipeline.core.event import decode_event
from pipeline.core.records import Columns, DeadLetter
from pipeline.core.refusal import explain
from schemas.message_event import MAX_EVENT_BYTES, MAX_RECORD_BYTES, TYPES, DeadLetterReason
from tests.support import decoding
from tests.support.places import P0
from tests.support.record import NOW_MS, Record

GOOD: dict[str, Any] = {**decoding.GOOD, "error_code": "E1", "cost_cents": "0.75"}
TEXT = json.dumps(GOOD)
JSON = TEXT.encode()
HALVES = [r"\ud83d", r"\udc00", r"\uD83D", r"\ud83d\ud83d\ude00", r"\ud83d\u0041", r"\\\ud83d", r"\ud83d\\u0041"]


def with_note(note: str) -> bytes:
    """A valid event with the JSON text of an ignored field."""
    return f'{TEXT[:-1]}, "note": {note}}}'.encode()


def judge(value: bytes | None, key: bytes | None = None) -> tuple[Columns, list[DeadLetter]]:
    rows = Columns()
    return rows, decode_batch(P0, [Record(0, value, key=key)], NOW_MS, 0, 0, rows).letters


def letter(value: bytes | None, key: bytes | None = None) -> DeadLetter:
    rows, (only,) = judge(value, key)
    assert len(rows) == 0
    return only


def is_accepted_as_if_there_were_no_note(value: bytes) -> bool:
    return judge(value) == judge(JSON) and judge(value)[1] == []


# -- what is ignored ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("form", ['"%s"', '"hi %s there"', '["%s"]', '{"%s": 1}', '"%s", "other %s": "%s"'])
def test_half_of_a_surrogate_pair_in_an_ignored_field_is_ignored(form: str, half: str) -> None:
    assert is_accepted_as_if_there_were_no_note(with_note(form.replace("%s", half)))


WITH_HALVES = st.text(st.one_of(st.characters(), st.characters(categories=["Cs"])), max_size=6)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), WITH_HALVES
)


@given(
    st.recursive(SCALARS, lambda x: st.lists(x, max_size=4) | st.dictionaries(WITH_HALVES, x, max_size=4), max_leaves=9)
)
def test_any_json_in_an_ignored_field_is_ignored(note: object) -> None:
    assert is_accepted_as_if_there_were_no_note(with_note(json.dumps(note)))


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("field", GOOD)
def test_half_of_a_surrogate_pair_in_a_field_in_use_is_named(field: str, half: str) -> None:
    value = TEXT.replace(json.dumps(GOOD[field]), f'"a{half}b"').encode()
    refused = letter(value)
    assert refused.reason == "invalid_field"
    assert refused.detail.startswith(f"{field} must ")
    assert refused.org_id == ("" if field == "org_id" else "acme")
    assert refused.event_id == ("" if field == "event_id" else "e1")


def test_a_whole_pair_and_an_escaped_backslash_are_no_halves() -> None:
    value = TEXT.replace("acme", r"\ud83d\ude00").replace("e1", r"\\ud83d")[:-1] + r', "note": "\ud83d"}'
    rows, letters = judge(value.encode())
    assert (rows.org_id, rows.event_id, letters) == (["\U0001f600"], ["\\ud83d"], [])


def test_half_of_a_pair_excuses_no_other_mistake() -> None:
    assert "channel must be 1 to 32" in letter(with_note(r'"\ud83d", "channel": "A B"')).detail
    assert letter(with_note(r'"\ud83d", NaN')).reason == "malformed_json"


# -- whom a letter names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [b"\xff", b"\xed\xa0\xbd", b"\xc3", b"M\xfcller"])
def test_bytes_that_are_no_utf_8_refuse_the_record_and_name_its_organization(broken: bytes) -> None:
    refused = letter(with_note('"X"').replace(b"X", broken))
    assert (refused.reason, refused.org_id, refused.event_id) == ("malformed_json", "acme", "e1")
    assert "the value is not UTF-8" in refused.detail


def test_a_byte_order_mark_hides_no_organization() -> None:
    refused = letter(b"\xef\xbb\xbf" + JSON, b"acme")
    assert (refused.reason, refused.org_id, refused.event_id) == ("malformed_json", "acme", "e1")
    assert refused.occurred_ms == NOW_MS - 877


@pytest.mark.parametrize("filler", ["x", r"\u00e9", r"\ud83d", "\\n"])
def test_an_event_that_is_too_large_names_its_organization_up_to_a_bound(filler: str) -> None:
    def sized(size: int) -> bytes:
        count, rest = divmod(size - len(with_note('""')), len(filler))
        return with_note(f'"{filler * count}{"x" * rest}"')

    for size in (MAX_EVENT_BYTES + 1, MAX_RECORD_BYTES):
        large = letter(sized(size), b"key")
        assert (len(large.value or b""), large.reason) == (size, "too_large")
        assert (large.org_id, large.event_id, large.occurred_ms) == ("acme", "e1", NOW_MS - 877)
    larger = letter(sized(MAX_RECORD_BYTES + 1), b"key")
    assert (larger.reason, larger.org_id, larger.event_id) == ("too_large", "", "")
    assert larger.detail.endswith("; the record's key is 'key'")


@given(st.binary(max_size=4), st.sampled_from(["acme", "org_id"]), st.integers(0, 6))
def test_no_organization_is_named_that_is_not_in_the_bytes(junk: bytes, word: str, at: int) -> None:
    spot = JSON.index(word.encode()) + min(at, len(word))
    _, letters = judge(JSON[:spot] + junk + JSON[spot:])
    for refused in letters:
        assert f'"{refused.org_id}"'.encode() in JSON[:spot] + junk + JSON[spot:] or refused.org_id == ""


@pytest.mark.parametrize("value", [None, b"", b"{", b"[1]", JSON.replace(b"acme", b"\xff"), b"x" * 70_000])
def test_the_key_is_a_hint_where_no_organization_can_be_read(value: bytes | None) -> None:
    hinted = letter(value, b"acme")
    assert hinted.detail.endswith("; the record's key is 'acme'")
    assert hinted.org_id == "", "an erasure must not take letters for a key"
    assert "key" not in letter(value).detail
    assert len(letter(value, b"\x1b[31m" + b"k" * 10**6).detail) < 300


def test_the_key_is_no_hint_where_the_organization_is_known() -> None:
    assert "key" not in letter(JSON.replace(b'"sms"', b"7"), b"other").detail


# -- what was given -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "given", "shown"),
    [
        ("type", '"message.opened"', "'message.opened'"),
        ("type", "7", "7"),
        ("type", "null", "null"),
        ("occurred_at", "1778000000000", "1778000000000"),
        ("occurred_at", '"2026-05-05T12:00:00"', "'2026-05-05T12:00:00'"),
        ("occurred_at", '"2101-01-01T00:00:00Z"', "'2101-01-01T00:00:00Z'"),
        ("occurred_at", '"2026-05-05T12:00:60Z"', "'2026-05-05T12:00:60Z'"),
        ("channel", '"a\\u001b[31m"', "'a\\x1b[31m'"),
        ("event_id", "true", "true"),
        ("org_id", "[]", "[]"),
        ("org_id", '["\x9b31m\x7f"]', '["\\x9b31m\\x7f"]'),
        ("error_code", '""', "''"),
        ("error_code", '"__other__"', "'__other__'"),
        ("cost_cents", "-1", "-1"),
        ("cost_cents", '"1e3"', "'1e3'"),
        ("cost_cents", "{}", "{}"),
    ],
)
def test_a_broken_rule_quotes_what_was_given(field: str, given: str, shown: str) -> None:
    detail = letter(TEXT.replace(json.dumps(GOOD[field]), given).encode()).detail
    assert detail.startswith(f"{field} must ")
    assert detail.endswith(f", not {shown}")


def test_a_broken_type_and_a_broken_time_say_what_is_allowed() -> None:
    assert all(t in letter(JSON.replace(b"message.failed", b"x")).detail for t in TYPES)
    assert "RFC 3339 date-time with offset, like 2026" in letter(JSON.replace(b"2026-05-05T", b"")).detail


@pytest.mark.parametrize("field", GOOD)
def test_what_is_quoted_is_bounded(field: str) -> None:
    assert len(letter(TEXT.replace(json.dumps(GOOD[field]), f'"{"x" * 60_000}"').encode()).detail) < 300


def test_what_is_no_object_is_quoted() -> None:
    for value in (b"[1]", b"7", b"null", b'"text"'):
        assert letter(value).detail == f"the value must be one JSON object, not {value.decode()!r}"


def test_a_fault_that_nobody_thought_of_is_a_sentence_too() -> None:
    for error in (msgspec.ValidationError("Odd - at `$.other`"), ValueError("odd")):
        reason, sentence = explain(error, b'{"other": 1}')
        assert (reason, sentence[:10]) == ("invalid_field", "the value ")


# -- what it looks like ---------------------------------------------------------------------------------------------

LOOKS = [
    (b"\xef\xbb\xbf" + JSON, "UTF-8 with a byte order mark"),
    *((TEXT.encode(name), "UTF-16") for name in ("utf-16", "utf-16-le", "utf-16-be")),
    (b"\xfe\xff" + TEXT.encode("utf-16-be"), "UTF-16"),
    *((TEXT.encode(name), "UTF-32") for name in ("utf-32", "utf-32-le", "utf-32-be")),
    (b"\0\0\xfe\xff" + TEXT.encode("utf-32-be"), "UTF-32"),
    (gzip.compress(JSON), "gzip"),
    (zstandard.ZstdCompressor().compress(JSON), "zstd"),
    (lz4.frame.compress(JSON), "lz4"),
    (b"\xff\x06\0\0sNaPpY\x01", "snappy"),
    (b"\x82SNAPPY\0\0\0\0\x01", "snappy"),
    *((zlib.compress(JSON, level), "zlib") for level in (0, 6, 9)),
    (bz2.compress(JSON), "bzip2"),
    (lzma.compress(JSON), "xz"),
    (b"Obj\x01\x04\x16avro.schema", "an Avro file"),
    (b"\xc3\x01" + bytes(8) + b"\x04e1", "a single Avro object"),
    (b"\x03\0" + bytes(16) + JSON, "AWS Glue"),
    (b"\xac\xed\0\x05sr", "a serialised Java object"),
    (b"\x0a\x02e1\x12\x04acme\x18\x01", "binary data (Protobuf"),
    (b"\x85\xa8event_id\xa2e1", "binary data"),
    (b"event_id=e1&org_id=acme&type=message.sent", "form data"),
    (b"<event><id>e1</id></event>", "XML"),
    (b"  <!DOCTYPE html>", "XML or HTML"),
    (repr(GOOD).encode(), "a Python dictionary"),
    (b"eyJldmVudF9pZCI6ImUxIn0=", "base64"),
    (b"the message e1 was sent", "plain text"),
    (b"e1,message.sent,acme,sms", "plain text"),
    (b" \r\n\t ", "white space"),
]


@pytest.mark.parametrize(("value", "name"), LOOKS)
def test_what_is_no_json_is_called_by_its_name(value: bytes, name: str) -> None:
    refused = letter(value)
    assert refused.reason == "malformed_json"
    said = re.fullmatch(
        "(?:a schema registry's frame: )?the value looks like (.+), and begins with (.+?); .*(publish|encode|use) .+",
        refused.detail,
    )
    assert said is not None
    assert name in said[1]
    assert said[2].startswith(value[:3].hex(" ")) or said[2][1:].startswith(value[:3].decode())


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (JSON[:-5], "it ends before the object does"),
        (JSON + JSON, "; one record is one event"),
        (with_note("NaN"), "at 'NaN}'"),
        (with_note("[" * 5000 + "]" * 5000), "nested too deeply"),
    ],
)
def test_json_with_a_mistake_says_where(value: bytes, sentence: str) -> None:
    assert sentence in letter(value).detail


DAMAGED = st.builds(
    lambda at, junk, cut: JSON[:at] + junk + JSON[at + cut :],
    st.integers(0, len(JSON)),
    st.binary(max_size=9),
    st.integers(0, 200),
)
LIKE_OTHERS = st.sampled_from(LOOKS).map(lambda look: look[0][:40])


@given(st.one_of(st.binary(min_size=1, max_size=60), LIKE_OTHERS, DAMAGED))
def test_every_refusal_is_a_bounded_sentence_that_can_be_stored(value: bytes) -> None:
    try:
        decode_event(value)
    except Exception as error:
        reason, sentence = explain(error, value)
        assert reason in set(DeadLetterReason)
        assert 0 < len(sentence.encode()) < 1000
        assert sentence.isprintable()
