"""Uncompress a batch of records without letting a few bytes become gigabytes. Pure."""

import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

import cramjam
import zstandard

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
NAMES: Final = {GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}
MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
"""A batch that unpacks to more is refused. Brokers take batches of 1 MiB by default, as they are compressed."""

_LZ4_RATIO = 255
"""An LZ4 block unpacks to at most so many times its size: each byte of a length stands for 255 bytes."""
_PIECE_BYTES = 64 * 1024
_COUNT_BYTES = 1024 * 1024
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_XERIAL_MAGIC = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES = 16
"""Java's snappy streams: a magic and two versions, then blocks that each follow their length."""


class CannotUnpack(Exception):
    """The bytes are no such stream, are not all of it, or unpack to more than the limit. The text says which."""


def unpack(codec: int, data: memoryview, limit: int = MAX_UNPACKED_BYTES) -> bytes | memoryview:
    """The content of a batch, at most ``limit`` bytes. Raises CannotUnpack."""
    if codec not in NAMES:
        raise CannotUnpack(f"its compression codec {codec} is unknown")
    try:
        return _UNPACKERS[codec](data, limit)
    except (cramjam.DecompressionError, zstandard.ZstdError, zlib.error, EOFError, struct.error) as error:
        raise CannotUnpack(f"it cannot be uncompressed as {NAMES[codec]} ({error})") from None


def _too_much(limit: int) -> CannotUnpack:
    return CannotUnpack(f"it uncompresses to more than {limit} bytes")


def _gunzip(data: memoryview, limit: int) -> memoryview:
    """Every member of a gzip stream, as Java and the command-line tools read it."""
    found, position = bytearray(), 0
    while position < len(data):
        member = zlib.decompressobj(_GZIP_WINDOW)
        while not member.eof:
            # In pieces: a member copies what is behind its end, and there may be tens of thousands of members.
            piece = data[position : position + _PIECE_BYTES]
            if not piece:
                raise EOFError("its end is missing")
            found += member.decompress(piece, limit + 1 - len(found))
            if len(found) > limit:
                raise _too_much(limit)
            position += len(piece) - len(member.unused_data)
    return memoryview(found)


def _unsnap(data: memoryview, limit: int) -> bytes:
    """A block, or Java's stream of blocks. A block's first bytes tell its size, which is checked before it is made."""
    found = bytearray()
    for block in _snappy_blocks(data):
        if len(found) + cramjam.snappy.decompress_raw_len(block) > limit:
            raise _too_much(limit)
        found += bytes(cramjam.snappy.decompress_raw(block))
    return bytes(found)


def _snappy_blocks(data: memoryview) -> list[memoryview]:
    if data[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return [data]
    blocks, position = [], _XERIAL_HEADER_BYTES
    while position < len(data):
        (size,) = struct.unpack_from(">i", data, position)
        position += 4
        if not 0 < size <= len(data) - position:
            raise EOFError("a block's end is missing")
        blocks.append(data[position : position + size])
        position += size
    return blocks


def _unlz4(data: memoryview, limit: int) -> Any:
    if len(data) * _LZ4_RATIO <= limit:
        return memoryview(cramjam.lz4.decompress(data))
    stream = cramjam.lz4.Decompressor()
    for start in range(0, len(data), _PIECE_BYTES):
        stream.decompress(data[start : start + _PIECE_BYTES])
        if len(stream) > limit:
            raise _too_much(limit)
    return memoryview(stream.finish())


def _unzstd(data: memoryview, limit: int) -> Any:
    """Twice: a reader that can be stopped does not notice that the end is missing; the other way is all or nothing."""
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    piece, size = bytearray(_COUNT_BYTES), 0
    while count := reader.readinto(piece):
        size += count
        if size > limit:
            raise _too_much(limit)
    return memoryview(cramjam.zstd.decompress(data))


_UNPACKERS: Final[dict[int, Callable[[memoryview, int], bytes | memoryview]]] = {
    GZIP: _gunzip,
    SNAPPY: _unsnap,
    LZ4: _unlz4,
    ZSTD: _unzstd,
}
