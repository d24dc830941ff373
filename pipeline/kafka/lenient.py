"""A parser of records for batches that aiokafka's refuses as a whole. Pure.

Kafka's header names are bytes that nobody checks, and aiokafka decodes them; one name, one wrong length or one
number too large costs it the batch. Here every record stands for itself: its framing tells where the next one begins.
Wherever aiokafka's parser takes a batch, this one finds the same records (a test compares them).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_U64 = (1 << 64) - 1
_MAX_SHIFT = 63


class BadFraming(Exception):
    """The lengths of a record contradict each other. The text says which."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as in core's ``RawRecord``, with names of headers as the bytes that they are."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Bytes that should be a record or several: where they stand in the log, and why they are none."""

    offset: int
    framed: bytes
    why: str


class Span(NamedTuple):
    """Fields of a batch's header that its records depend on. ``append_time`` is the broker's, None for producers'."""

    base_offset: int
    last_offset: int
    records: int
    first_timestamp: int
    append_time: int | None


def parse(span: Span, data: bytes | memoryview) -> Iterator[Record | Unreadable]:
    """Every record of a batch's uncompressed bytes, in order of their offsets; what is none is Unreadable."""
    buffer, position, index, expected = bytes(data), 0, 0, span.base_offset
    while index < span.records and position < len(buffer):
        try:
            start, end = _frame(buffer, position)
        except BadFraming as error:
            yield Unreadable(min(expected, span.last_offset), buffer[position:], f"{error}; nothing after it is known")
            return
        found = _record(span, buffer, start, end, expected)
        yield found
        position, index, expected = end, index + 1, found.offset + 1
    if index < span.records or position < len(buffer):
        why = f"its batch announces {span.records} records, has {index}, and {len(buffer) - position} bytes after them"
        yield Unreadable(min(expected, span.last_offset), buffer[position:], why)


def _frame(buffer: bytes, position: int) -> tuple[int, int]:
    """The bounds of a record's content."""
    length, start = _varint(buffer, position, len(buffer))
    if not 0 <= length <= len(buffer) - start:
        raise BadFraming(f"a record of {length} bytes is announced where {len(buffer) - start} are left")
    return start, start + length


def _record(span: Span, buffer: bytes, start: int, end: int, expected: int) -> Record | Unreadable:
    try:
        record = _fields(span, buffer, start, end)
        if not expected <= record.offset <= span.last_offset:
            raise BadFraming(f"its offset {record.offset} is not one of {expected} to {span.last_offset}")
    except BadFraming as error:
        return Unreadable(min(expected, span.last_offset), buffer[start:end], str(error))
    return record


def _fields(span: Span, buffer: bytes, position: int, end: int) -> Record:
    _, position = _varint(buffer, position, end)  # attributes, which are unused
    time_delta, position = _varint(buffer, position, end)
    offset_delta, position = _varint(buffer, position, end)
    key, position = _nullable(buffer, position, end)
    value, position = _nullable(buffer, position, end)
    count, position = _varint(buffer, position, end)
    if not 0 <= count <= end - position:  # a header takes two bytes at least
        raise BadFraming(f"it announces {count} headers")
    headers = []
    for _ in range(count):
        name, position = _nullable(buffer, position, end)
        if name is None:
            raise BadFraming("a header has no name")
        content, position = _nullable(buffer, position, end)
        headers.append((name, content))
    if position != end:
        raise BadFraming(f"{end - position} bytes are left after its last header")
    time = _signed(span.first_timestamp + time_delta) if span.append_time is None else span.append_time
    return Record(_signed(span.base_offset + offset_delta), time, key, value, tuple(headers))


def _nullable(buffer: bytes, position: int, end: int) -> tuple[bytes | None, int]:
    size, position = _varint(buffer, position, end)
    if size < 0:
        return None, position
    if size > end - position:
        raise BadFraming(f"a field of {size} bytes is announced where {end - position} are left")
    return buffer[position : position + size], position + size


def _varint(buffer: bytes, position: int, end: int) -> tuple[int, int]:
    """A zigzag number of 64 bits, and the position behind it."""
    found = shift = 0
    while True:
        if position >= end:
            raise BadFraming("it ends within a number")
        byte = buffer[position]
        found |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            found &= _U64
            return (found >> 1) ^ -(found & 1), position
        if shift > _MAX_SHIFT:
            raise BadFraming("a number has more than 64 bits")


def _signed(number: int) -> int:
    """A sum as a 64-bit field would hold it."""
    return (number + (1 << 63) & _U64) - (1 << 63)
