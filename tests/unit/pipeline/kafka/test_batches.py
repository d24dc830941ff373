"""Batches from bytes: for anything in any part of a record, reading goes on behind it and nothing is left out."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.util import decode_varint_py
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.kafka import batches
from pipeline.kafka.batches import BatchRefused, Unpacked, unpack_fetch
from pipeline.kafka.lenient import Record, Span, Unreadable, parse
from pipeline.kafka.transactions import Aborted
from tests.support.record_batch import CODECS, XERIAL, BatchSpec, Part, record, varint

# Its Python form is used where there is no compiled one, and then with this; with the compiled numbers it reads beyond
# the end of its buffer.
_DefaultRecordBatchPy._read_msg.__defaults__ = (decode_varint_py,)
PARSERS = (DefaultRecordBatch, _DefaultRecordBatchPy)
LOG_END = 1 << 40
PRODUCER = 7
TRANSACTIONAL, CONTROL = 0x10, 0x20

bytes_or_none = st.none() | st.binary(max_size=20)
names = st.binary(max_size=8) | st.text(max_size=4).map(str.encode)
parts = st.builds(
    Part,
    value=bytes_or_none,
    key=bytes_or_none,
    headers=st.lists(st.tuples(names, bytes_or_none), max_size=3).map(tuple),
    time_delta=st.integers(-(2**62), 2**62),
)
specs = st.builds(
    BatchSpec,
    parts=st.lists(parts, min_size=1, max_size=5),
    codec=st.sampled_from(sorted(CODECS)),
    first_timestamp=st.integers(-(2**63), 2**63 - 1),
    max_timestamp=st.integers(-(2**63), 2**63 - 1),
    attributes=st.sampled_from([0, 0x08]),
)


def read(payload: bytes, position: int = 0, parser: Any = DefaultRecordBatch, log_end: int = LOG_END) -> list[Unpacked]:
    return list(unpack_fetch(payload, position, log_end, Aborted(()), parser))


def flat(found: Sequence[Unpacked]) -> list[tuple[int, bytes | None, bytes | None, list[tuple[bytes, bytes | None]]]]:
    """Everything that was read: (offset, key, value, headers), and what is no record by its framed bytes."""
    rows = []
    for part in found:
        for r in part.records:
            headers = [(n.encode() if isinstance(n, str) else n, v) for n, v in r.headers]
            rows.append((r.offset, r.key, r.value, headers))
        rows += [(x.offset, None, x.framed, []) for x in part.unreadable]
    return sorted(rows, key=lambda row: row[0])


@pytest.mark.parametrize("parser", PARSERS)
@given(spec=specs)
@example(spec=BatchSpec(parts=(Part(headers=((b"trace-\xff", b"v"),)),)))
@settings(max_examples=150)
def test_every_record_comes_through_with_its_bytes_whatever_they_are(parser: Any, spec: BatchSpec) -> None:
    found = read(spec.at(100).build(), 100, parser)
    assert flat(found) == [(100 + i, p.key, p.value, list(p.headers)) for i, p in enumerate(spec.parts)]
    assert found[-1].next_offset == 100 + len(spec.parts)
    assert not any(part.unreadable for part in found)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_bad_record_first_in_the_middle_or_last_costs_no_other(parser: Any, codec: str, bad: int) -> None:
    framed = [record(Part(b"v%d" % i), i) for i in range(3)]
    framed[bad] = varint(4) + b"\0\0\0\x81"  # ends within a number
    spec = BatchSpec(parts=(Part(),) * 3, codec=codec, content=b"".join(framed))
    payload = spec.at(10).build() + BatchSpec(parts=(Part(b"next"),)).at(13).build()
    found = read(payload, 10, parser)
    (unreadable,) = [x for part in found for x in part.unreadable]
    assert (unreadable.offset, unreadable.framed) == (10 + bad, b"\0\0\0\x81")
    values = {r.offset: r.value for part in found for r in part.records}
    assert values == {10 + i: b"v%d" % i for i in range(3) if i != bad} | {13: b"next"}
    assert found[-1].next_offset == 14


@pytest.mark.parametrize(
    "content", [b"\0\0\0\x01\x01\0more", b"\0\0\0\x01\x01\x02\x01\0", b"\0\0\0\x01\x01\x7f", b"\0\0\0\x09\x01"]
)
def test_a_record_whose_lengths_contradict_each_other_is_none(content: bytes) -> None:
    spec = BatchSpec(parts=(Part(),) * 2, content=varint(len(content)) + content + record(Part(b"next"), 1))
    (found,) = read(spec.build())
    assert ([x.framed for x in found.unreadable], [r.value for r in found.records]) == ([content], [b"next"])


@pytest.mark.parametrize("parser", PARSERS)
@given(
    content=st.binary(max_size=40)
    | st.tuples(st.lists(parts, min_size=1, max_size=3), st.integers(0, 200), st.integers(0, 255)).map(
        lambda x: _damaged(b"".join(record(p, i) for i, p in enumerate(x[0])), x[1], x[2])
    ),
    count=st.integers(-1, 4),
    last=st.integers(0, 3),
)
@settings(max_examples=400)
def test_for_any_content_reading_goes_on_behind_it_and_no_byte_is_lost(
    parser: Any, content: bytes, count: int, last: int
) -> None:
    spec = BatchSpec(count=count, last_offset_delta=last, content=content)
    payload = spec.at(5).build() + BatchSpec(parts=(Part(b"next"),)).at(5 + last + 1).build()
    found = read(payload, 5, parser)
    assert flat(found)[-1][:3] == (5 + last + 1, None, b"next")
    assert found[-1].next_offset == 5 + last + 2
    rows = [row for row in flat(found) if row[2] != b"next"]
    assert all(5 <= offset <= 5 + last for offset, *_ in rows)
    if content or count > 0:
        assert rows, "a fact or a dead letter, never none"
    offsets = [r.offset for part in found for r in part.records]
    assert offsets == sorted(set(offsets)), "each record has a place of its own"


def _damaged(content: bytes, at: int, byte: int) -> bytes:
    at %= len(content)
    return content[:at] + bytes([byte]) + content[at + 1 :]


@given(
    content=st.tuples(st.lists(parts, min_size=1, max_size=3), st.integers(0, 200), st.integers(0, 255)).map(
        lambda x: _damaged(b"".join(record(p, i) for i, p in enumerate(x[0])), x[1], x[2])
    ),
    count=st.integers(0, 4),
)
@settings(max_examples=400)
def test_where_the_library_takes_a_batch_the_lenient_parser_finds_the_same(content: bytes, count: int) -> None:
    spec = BatchSpec(count=count, last_offset_delta=3, content=content)
    try:
        theirs = list(DefaultRecordBatch(spec.build()))
    except Exception:
        return
    ours = list(parse(Span(0, 3, count, spec.first_timestamp, None), content))
    offsets = [r.offset for r in theirs]
    if offsets == sorted(set(offsets)) and all(0 <= offset <= 3 for offset in offsets):
        assert [
            (r.offset, r.timestamp, r.key, r.value, tuple((n.encode(), v) for n, v in r.headers)) for r in theirs
        ] == [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in ours if isinstance(r, Record)]
        assert not any(isinstance(r, Unreadable) for r in ours)


@given(spec=specs, at=st.integers(12, 4000), bit=st.integers(0, 7))
@settings(max_examples=300)
def test_a_bit_that_flips_anywhere_is_noticed_before_any_record_is_believed(spec: BatchSpec, at: int, bit: int) -> None:
    payload = bytearray(spec.build())
    at = 12 + (at - 12) % (len(payload) - 12)
    payload[at] ^= 1 << bit
    if 12 <= at < 16:  # the leader's epoch, which nobody uses and no checksum covers
        return
    with pytest.raises(BatchRefused) as refused:
        read(bytes(payload))
    assert refused.value.next_offset in (None, len(spec.parts)) or 21 < at < 27, "where the log goes on is not made up"


@given(spec=specs, cut=st.integers(0, 4000))
@settings(max_examples=100)
def test_of_a_batch_whose_end_was_not_fetched_nothing_is_taken(spec: BatchSpec, cut: int) -> None:
    whole, following = spec.build(), spec.at(len(spec.parts)).build()
    assert flat(read(whole + following[: cut % len(following)])) == flat(read(whole))
    if cut % len(whole):
        with pytest.raises(BatchRefused, match="larger than a fetch"):
            read(whole[: cut % len(whole)])


def refusal(payload: bytes, position: int = 0, log_end: int = LOG_END) -> tuple[str, int | None]:
    with pytest.raises(BatchRefused) as refused:
        read(payload, position, log_end=log_end)
    return str(refused.value), refused.value.next_offset


@pytest.mark.parametrize(
    ("spec", "why", "next_offset"),
    [
        (BatchSpec(checksum=1), "its checksum is wrong", 1),
        (BatchSpec(magic=3), "its format 3 is newer than what this version reads", None),
        (BatchSpec(codec="none", attributes=5), "its compression codec 5 is unknown", 1),
        (BatchSpec(codec="gzip", packed=b"\x1f\x8b"), "uncompressed as gzip", 1),
        (BatchSpec(codec="snappy", packed=XERIAL + b"\xff\xff\xff\xfc"), "uncompressed as snappy", 1),
        (BatchSpec(codec="lz4", packed=b""), "uncompressed as lz4", 1),
        (BatchSpec(codec="zstd", packed=b"xxxx"), "uncompressed as zstd", 1),
        (BatchSpec(base_offset=-5), "claims the offsets -5 to -5", None),
        (BatchSpec(last_offset_delta=-1), "claims the offsets 0 to -1", None),
        (BatchSpec(attributes=CONTROL, content=b"\x02\x00"), "its control record cannot be read", 1),
    ],
)
def test_a_batch_that_is_not_sound_is_refused_with_the_reason(
    spec: BatchSpec, why: str, next_offset: int | None
) -> None:
    sentence, behind = refusal(spec.build())
    assert why in sentence
    assert behind == next_offset


def test_a_batch_beyond_the_end_of_the_log_is_refused() -> None:
    assert refusal(BatchSpec().at(1000).build(), 0, 500) == (
        "it claims the offsets 1000 to 1000, and the log ends at 500", None,
    )  # fmt: skip


def test_a_batch_that_was_appended_while_the_broker_answered_is_left_for_the_next_fetch() -> None:
    payload = BatchSpec().build() + BatchSpec().at(1).build()
    assert [part.next_offset for part in read(payload, log_end=1)] == [1]
    assert "the log ends at 1" in refusal(payload, 1, log_end=1)[0]


def test_where_a_bad_batch_ends_is_not_behind_the_beginning_of_the_next() -> None:
    bad, following = BatchSpec(last_offset_delta=5000, checksum=1).build(), BatchSpec().at(3).build()
    assert refusal(bad + following)[1] == refusal(bad + following[:12])[1] == 3
    assert refusal(bad + following[:11])[1] == 5001


def test_a_batch_that_begins_where_none_can_hides_no_record() -> None:
    """No checksum covers where a batch begins."""
    first, second, third = (BatchSpec().at(n).build() for n in (10, 11, 12))
    for wrong in (0, 10):
        found = unpack_fetch(first + BatchSpec().at(wrong).build() + third, 10, LOG_END, Aborted(()))
        assert next(found).next_offset == 11
        with pytest.raises(BatchRefused, match=f"begins at {wrong}, before the end of the batch before it"):
            next(found)
    assert "begins at 500, and the batch behind it not" in refusal(BatchSpec().at(500).build() + second, 10)[0]
    assert [part.next_offset for part in read(first + third, 5)] == [11, 13], "compacted, or a log's beginning"


def test_the_length_of_a_frame_that_is_none_is_refused() -> None:
    assert "less than that of any batch" in refusal(struct.pack(">qi", 0, -1) + bytes(60))[0]
    assert "less than that of any batch" in refusal(struct.pack(">qi", 0, 0))[0]


def test_sound_batches_before_a_bad_one_are_handed_on_first() -> None:
    found: list[Unpacked] = []
    with pytest.raises(BatchRefused):
        found.extend(unpack_fetch(BatchSpec().build() + BatchSpec(checksum=1).at(1).build(), 0, 9, Aborted(())))
    rest = unpack_fetch(BatchSpec().build() + BatchSpec(checksum=1).at(1).build(), 0, 9, Aborted(()))
    assert next(rest).next_offset == 1


def test_what_lies_before_the_position_is_left_out_whole_batches_included() -> None:
    payload = (
        BatchSpec(parts=(Part(b"a"), Part(b"b"))).build() + BatchSpec(parts=(Part(b"c"), Part(b"d"))).at(2).build()
    )
    assert [row[2] for row in flat(read(payload, 3))] == [b"d"]
    broken = BatchSpec(parts=(Part(b"a"), Part(b"b", headers=((b"\xff", None),)))).build()
    assert [row[2] for row in flat(read(broken, 1))] == [b"b"]


@pytest.fixture
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SLICE_RECORDS", 3)


@pytest.mark.usefixtures("_small_slices")
@pytest.mark.parametrize("at_once", [0, 1000])
@pytest.mark.parametrize("number", [1, 3, 4, 7])
def test_a_large_batch_comes_in_slices_that_follow_each_other(
    number: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_PARSED_AT_ONCE", at_once)
    found = read(BatchSpec(parts=[Part(b"%d" % i) for i in range(number)]).build())
    assert [len(part.records) for part in found] == [3] * (number // 3) + ([number % 3] if number % 3 else [])
    assert [row[0] for row in flat(found)] == list(range(number))
    assert [part.next_offset for part in found] == [*range(3, number, 3), number]


def test_a_batch_whose_records_were_all_compacted_away_moves_the_position() -> None:
    assert read(BatchSpec(parts=(), last_offset_delta=4).build()) == [Unpacked([], [], 0, 5, 1_700_000_000_000)]
