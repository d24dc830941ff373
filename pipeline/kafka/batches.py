"""From the bytes of a fetch to records. Pure.

Checksum, format and codec are decided for each batch before a record of it is parsed, so that no exception of a parser
has to tell what is wrong. A batch that is sound gives all its records, whatever they contain; one that is not is
refused as a whole, for somebody to decide about it.
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import Any, NamedTuple

from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from pipeline.core.records import RawRecord
from pipeline.kafka.codecs import CannotUnpack, unpack
from pipeline.kafka.lenient import Record, Span, Unreadable, parse
from pipeline.kafka.transactions import Aborted

_HEADER = struct.Struct(">qiibIhiqqqhii")
_FRAME = struct.Struct(">qi")
_ATTRIBUTES = struct.Struct(">h")
_MAGIC_AT, _ATTRIBUTES_AT = 16, 21
_OLD_OVERHEAD_BYTES = 26
"""Of a batch of the formats 0 and 1, up to its first key."""
_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
_CONTROL_KEY = struct.Struct(">hh")
_ABORT = 0
FORMAT = 2
"""The format of batches since Kafka 0.11."""
SLICE_RECORDS = 20_000
"""So many records of a batch are handed on at once: a megabyte may hold a hundred thousand."""
MAX_PARSED_AT_ONCE = 400_000
"""Records of a batch that aiokafka's parser may make at once, some 100 bytes each beside their content."""


class BatchRefused(Exception):
    """A batch that cannot be read: the text says why. ``next_offset`` is where the log goes on, None if unknown."""

    def __init__(self, why: str, next_offset: int | None) -> None:
        super().__init__(why)
        self.next_offset = next_offset


class BeyondTheEnd(BatchRefused):
    """A batch beyond the end of the log that the broker names: damaged, or appended while the broker answered."""


class Unpacked(NamedTuple):
    """A batch, or a slice of it: its records, what is none, its size uncompressed, and where the log goes on."""

    records: list[RawRecord]
    unreadable: list[Unreadable]
    size_bytes: int
    next_offset: int
    max_timestamp: int
    is_last: bool = True
    """True if no other slice of its batch follows."""


class _Header(NamedTuple):
    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    checksum: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def append_time(self) -> int | None:
        return self.max_timestamp if self.attributes & _APPEND_TIME else None

    @property
    def span(self) -> Span:
        return Span(self.base_offset, self.next_offset - 1, self.records, self.first_timestamp, self.append_time)


def unpack_fetch(
    payload: bytes, position: int, log_end: int, aborted: Aborted, parser: Any = DefaultRecordBatch
) -> Iterator[Unpacked]:
    """The batches of a fetch from ``position``, each without what is before it. Raises BatchRefused, for good.

    A batch of which only the beginning was fetched is left for the next fetch, and so is one beyond ``log_end``: the
    broker looks where its log ends before it reads the log, which may have grown by then.
    """
    asked, behind = position, 0
    for frame in _frames(payload):
        behind += len(frame)
        following = _FRAME.unpack_from(payload, behind)[0] if len(payload) - behind >= _FRAME.size else -1
        try:
            _check_order(frame, position, following, is_first=position == asked)
            for part in _unpack(frame, position, log_end, aborted, parser):
                if part.next_offset > position:  # else it was read before
                    position = part.next_offset
                    yield part
        except BeyondTheEnd:
            if position == asked:
                raise
            return
        except BatchRefused as refused:
            if refused.next_offset is not None and position < following < refused.next_offset:
                refused.next_offset = following  # what is wrong may be where it claims to end
            raise
    if position == asked:
        raise BatchRefused("the broker sends the beginning of a batch that is larger than a fetch", None)


def claims_of_first(payload: bytes) -> tuple[int, int | None]:
    """The offset behind the first batch, as that claims (0: it does not say), and its stamp if that is the broker's."""
    if len(payload) < _HEADER.size or payload[_MAGIC_AT] != FORMAT:
        return 0, None
    header = _Header(*_HEADER.unpack_from(payload))
    return header.next_offset, header.append_time


def _check_order(frame: memoryview, position: int, following: int, *, is_first: bool) -> None:
    """Refuse a batch out of the log's order. No checksum covers where it begins: believed, it would hide records."""
    base, _ = _FRAME.unpack_from(frame)
    if base < position and not is_first:
        raise BatchRefused(f"it begins at {base}, before the end of the batch before it", None)
    if base > position and 0 <= following <= base:
        raise BatchRefused(f"it begins at {base}, and the batch behind it not behind that", None)


def _frames(payload: bytes) -> Iterator[memoryview]:
    """The bytes of each batch that is complete."""
    view, start = memoryview(payload), 0
    while len(view) - start >= _FRAME.size:
        _, length = _FRAME.unpack_from(view, start)
        if length < _OLD_OVERHEAD_BYTES - _FRAME.size:
            raise BatchRefused(f"its length is {length} bytes, less than that of any batch", None)
        end = start + _FRAME.size + length
        if end > len(view):
            return
        yield view[start:end]
        start = end


def _unpack(frame: memoryview, position: int, log_end: int, aborted: Aborted, parser: Any) -> Iterator[Unpacked]:
    magic = frame[_MAGIC_AT]
    if magic < FORMAT:
        return _legacy(frame, magic, position, log_end)
    if magic > FORMAT:
        raise BatchRefused(f"its format {magic} is newer than what this version reads", None)
    if len(frame) < _HEADER.size:
        raise BatchRefused(f"it has {len(frame)} bytes, less than a batch's header", None)
    header = _Header(*_HEADER.unpack_from(frame))
    next_offset = _checked(header.next_offset, header.base_offset, log_end)
    if not parser(frame).validate_crc():
        raise BatchRefused("its checksum is wrong", next_offset)
    transactional = bool(header.attributes & _TRANSACTIONAL)
    is_dropped = aborted.drops(header.producer_id, header.base_offset, is_transactional=transactional)
    if header.attributes & _CONTROL:
        if _is_abort(header, frame):
            aborted.ended(header.producer_id)
        is_dropped = True
    if is_dropped:
        return _cut(header, [], 0)
    return _records(header, frame, position, parser)


def _checked(next_offset: int, base_offset: int, log_end: int) -> int:
    """The offset behind a batch. The checksum does not cover its base, so that it is held against the log's end."""
    if not 0 <= base_offset < next_offset <= log_end:
        why = f"it claims the offsets {base_offset} to {next_offset - 1}, and the log ends at {log_end}"
        raise BeyondTheEnd(why, None) if next_offset > log_end else BatchRefused(why, None)
    return next_offset


def _is_abort(header: _Header, frame: memoryview) -> bool:
    """Whether a control batch ends an aborted transaction."""
    for record in parse(header.span, frame[_HEADER.size :]):
        if isinstance(record, Unreadable) or record.key is None or len(record.key) < _CONTROL_KEY.size:
            raise BatchRefused("its control record cannot be read", header.next_offset)
        _, kind = _CONTROL_KEY.unpack_from(record.key)
        if kind == _ABORT:
            return True
    return False


def _records(header: _Header, frame: memoryview, position: int, parser: Any) -> Iterator[Unpacked]:
    """A batch in slices. aiokafka's parser is faster; where it does not take all of it, each record is on its own."""
    plain = _uncompressed(header, frame)
    records = _parsed_at_once(header, plain, parser)
    if records is None:
        return _sliced(header, position, parse(header.span, memoryview(plain)[_HEADER.size :]))
    if header.base_offset < position:
        records = [record for record in records if record.offset >= position]
    return _cut(header, records, len(plain))


def _parsed_at_once(header: _Header, plain: bytes | memoryview, parser: Any) -> list[RawRecord] | None:
    """All records of a batch in memory, by aiokafka; None where it refuses any, or where they are too many."""
    if header.records > MAX_PARSED_AT_ONCE:
        return None
    try:
        records = list(parser(plain))
    except Exception:  # of any kind: aiokafka's two parsers have no errors of their own
        return None
    return records if _are_in_order(header, records) else None


def _cut(header: _Header, records: list[RawRecord], size_bytes: int) -> Iterator[Unpacked]:
    for start in range(0, max(len(records), 1), SLICE_RECORDS):
        end = start + SLICE_RECORDS
        part = records[start:end]
        next_offset = records[end].offset if end < len(records) else header.next_offset
        share = size_bytes * len(part) // max(len(records), 1)
        yield Unpacked(part, [], share, next_offset, header.max_timestamp, end >= len(records))


def _sliced(header: _Header, position: int, found: Iterable[Record | Unreadable]) -> Iterator[Unpacked]:
    """Slices of what is parsed as they are asked for: it may be more than fits into memory at once."""
    rest = (x for x in found if x.offset >= position)
    part = list(islice(rest, SLICE_RECORDS))
    while True:
        following = list(islice(rest, SLICE_RECORDS))
        records: list[RawRecord] = [x for x in part if isinstance(x, Record)]
        unreadable = [x for x in part if isinstance(x, Unreadable)]
        size = sum(len(x.value or b"") for x in records) + sum(len(x.framed) for x in unreadable)
        next_offset = following[0].offset if following else header.next_offset
        yield Unpacked(records, unreadable, size, next_offset, header.max_timestamp, not following)
        if not following:
            return
        part = following


def _are_in_order(header: _Header, records: list[Any]) -> bool:
    """Whether each record has an offset of its batch, and one of its own."""
    if not records:
        return True
    offsets = [record.offset for record in records]
    last = header.next_offset - 1
    if len(offsets) == last - header.base_offset + 1:
        return offsets == list(range(header.base_offset, last + 1))
    return header.base_offset <= offsets[0] and offsets[-1] <= last and all(a < b for a, b in pairwise(offsets))


def _uncompressed(header: _Header, frame: memoryview) -> bytes | memoryview:
    """The batch as it would be without compression."""
    codec = header.attributes & _CODEC
    if not codec:
        return frame
    try:
        content = unpack(codec, frame[_HEADER.size :])
    except CannotUnpack as error:
        raise BatchRefused(str(error), header.next_offset) from None
    attributes = _ATTRIBUTES.pack(header.attributes & ~_CODEC)
    behind = _ATTRIBUTES_AT + _ATTRIBUTES.size
    return b"".join((frame[:_ATTRIBUTES_AT], attributes, frame[behind : _HEADER.size], content))


def _legacy(frame: memoryview, magic: int, position: int, log_end: int) -> Iterator[Unpacked]:
    """A batch of the formats before Kafka 0.11: one record, or a compressed one that contains others."""
    try:
        batch = LegacyRecordBatch(bytes(frame), magic)
        is_sound = batch.validate_crc()
    except Exception as error:
        raise BatchRefused(f"its frame cannot be read ({error})", None) from None
    next_offset = _checked(batch.next_offset, batch.next_offset - 1, log_end)
    if not is_sound:
        raise BatchRefused("its checksum is wrong", next_offset)
    _check_unpacks(frame, magic, next_offset)
    try:
        records = [record for record in batch if record.offset >= position]
    except Exception as error:
        yield Unpacked([], [Unreadable(next_offset - 1, bytes(frame), str(error))], len(frame), next_offset, -1)
    else:
        yield Unpacked(records, [], sum(len(record.value or b"") for record in records), next_offset, -1)


def _check_unpacks(frame: memoryview, magic: int, next_offset: int) -> None:
    """Refuse a compressed batch of an old format that would fill the memory, or that cannot be uncompressed."""
    attributes = frame[_MAGIC_AT + 1]
    if not attributes & _CODEC:
        return
    try:
        unpack(attributes & _CODEC, _old_value(frame, magic))
    except (CannotUnpack, struct.error) as error:
        raise BatchRefused(str(error), next_offset) from None


def _old_value(frame: memoryview, magic: int) -> memoryview:
    key_at = _MAGIC_AT + 2 + (8 if magic else 0)
    (key_size,) = struct.unpack_from(">i", frame, key_at)
    value_at = key_at + 4 + max(key_size, 0)
    (value_size,) = struct.unpack_from(">i", frame, value_at)
    return frame[value_at + 4 : value_at + 4 + max(value_size, 0)]
