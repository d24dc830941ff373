"""Avro's binary encoding, strictly: a value that no writer writes is refused, never read as another.

Positions only grow and never pass the end, whatever the bytes are. ``data[at]`` behind the end raises IndexError, for
which ``avro.py`` has the sentence; slices would be cut in silence, so their ends are checked here.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeVar

from pipeline.registry.payloads.fields import JsonValue
from pipeline.registry.payloads.refused import PayloadRefused

T = TypeVar("T")

Read = Callable[[bytes, int], tuple[JsonValue | None, int]]
"""From a payload and a position to the value that stands there, and the position behind it. None is null."""

Skip = Callable[[bytes, int], int]
"""From a payload and the position of a value to the position behind it."""

CUT: Final = "the payload ends before its schema does"
INT_LIMIT: Final = 1 << 31

_DOUBLE: Final = Struct("<d")
_BITS: Final = 64


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag number of at most 64 bits. Protobuf's message indexes are written so too."""
    byte = data[at]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at + 1
    number, shift = byte & 0x7F, 7
    while byte >= 0x80 and shift < _BITS:
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        shift += 7
    if byte >= 0x80 or number >> _BITS:
        raise PayloadRefused(f"the payload has a number of more than {_BITS} bits where its schema has an integer")
    return (number >> 1) ^ -(number & 1), at + 1


def read_int(data: bytes, at: int) -> tuple[int, int]:
    number, at = read_long(data, at)
    if not -INT_LIMIT <= number < INT_LIMIT:
        raise PayloadRefused(f"the payload has {number} where its schema has an int of 32 bits")
    return number, at


def read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    byte = data[at]
    if byte > 1:
        raise PayloadRefused(f"the payload has the byte {byte} where its schema has a boolean, of 0 or 1")
    return byte == 1, at + 1


def read_double(data: bytes, at: int) -> tuple[float, int]:
    if at + 8 > len(data):
        raise PayloadRefused(CUT)
    return _DOUBLE.unpack_from(data, at)[0], at + 8


def read_null(_data: bytes, at: int) -> tuple[None, int]:
    return None, at


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes behind their length."""
    start, end = read_long(data, at)[1], skip_bytes(data, at)
    return data[start:end], end


def read_string(data: bytes, at: int) -> tuple[str, int]:
    """A string. Raises UnicodeDecodeError, for which the record that has it knows the field."""
    size = data[at]
    if size & 0x81:  # long, or negative
        text, at = read_bytes(data, at)
        return text.decode(), at
    end = at + 1 + (size >> 1)
    if end > len(data):
        raise PayloadRefused(CUT)
    return data[at + 1 : end].decode(), end


def skip_long(data: bytes, at: int) -> int:
    return read_long(data, at)[1]


def skip_int(data: bytes, at: int) -> int:
    return read_int(data, at)[1]


def skip_boolean(data: bytes, at: int) -> int:
    return read_boolean(data, at)[1]


def skip_bytes(data: bytes, at: int) -> int:
    """Behind bytes and strings, which are no numbers to be read to a value."""
    size, at = read_long(data, at)
    if size < 0:
        raise PayloadRefused(f"the payload has a length of {size}")
    if at + size > len(data):
        raise PayloadRefused(CUT)
    return at + size


def fixed_skip(size: int) -> Skip:
    """Behind a value that always takes so many bytes."""

    def skip(data: bytes, at: int) -> int:
        if at + size > len(data):
            raise PayloadRefused(CUT)
        return at + size

    return skip


def skip_nothing(_data: bytes, at: int) -> int:
    return at


def sequence_skip(skips: tuple[Skip, ...]) -> Skip:
    """Behind values that follow each other. One alone needs no loop, so that nesting without content costs nothing."""
    if len(skips) == 1:
        return skips[0]

    def skip(data: bytes, at: int) -> int:
        for part in skips:
            at = part(data, at)
        return at

    return skip


def blocks_skip(item: Skip) -> Skip:
    """Behind the blocks of an array or a map. Every item takes a byte or more, so the payload bounds their number."""

    def skip(data: bytes, at: int) -> int:
        count, at = read_long(data, at)
        while count:
            at = _skip_block(data, at, count, item)
            count, at = read_long(data, at)
        return at

    return skip


def _skip_block(data: bytes, at: int, count: int, item: Skip) -> int:
    """Behind one block. After a negative count stands the size in bytes, by which other readers jump."""
    size = None
    if count < 0:
        size, at = read_long(data, at)
    start = at
    for _ in range(abs(count)):
        at = item(data, at)
    if size not in (None, at - start):
        raise PayloadRefused(f"the payload has a block of {at - start} bytes that says it has {size}")
    return at


def read_index(data: bytes, at: int, choices: int) -> tuple[int, int]:
    """The index of one of so many choices."""
    index, at = read_long(data, at)
    if not 0 <= index < choices:
        raise PayloadRefused(f"the payload has the index {index} where its schema has {choices} choices")
    return index, at


def index_skip(choices: int) -> Skip:
    """Behind the index of an enum's symbol."""
    return lambda data, at: read_index(data, at, choices)[1]


def chosen(branches: tuple[Callable[[bytes, int], T], ...]) -> Callable[[bytes, int], T]:
    """A union: an index, and then one of its branches. Those before the 65th have an index of one byte."""
    of_byte = {2 * index: branch for index, branch in enumerate(branches[:64])}

    def choose(data: bytes, at: int) -> T:
        branch = of_byte.get(data[at])
        if branch is not None:
            return branch(data, at + 1)
        index, at = read_index(data, at, len(branches))
        return branches[index](data, at)

    return choose
