"""Record batches as bytes, built from Kafka's description of the format: anything may stand in any field."""

import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cramjam
import zstandard
from aiokafka.codec import lz4_encode
from aiokafka.record.util import calc_crc32c

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
HEADER_BYTES = 61
XERIAL = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)


@dataclass(frozen=True)
class Part:
    """A record to build. ``offset_delta`` None is its index."""

    value: bytes | None = b"v"
    key: bytes | None = None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    time_delta: int = 0
    offset_delta: int | None = None


@dataclass(frozen=True)
class BatchSpec:
    """A batch to build. What is None is as it should be."""

    parts: Sequence[Part] = (Part(),)
    base_offset: int = 0
    codec: str = "none"
    first_timestamp: int = 1_700_000_000_000
    max_timestamp: int = 1_700_000_000_000
    attributes: int = 0
    producer_id: int = -1
    magic: int = 2
    count: int | None = None
    last_offset_delta: int | None = None
    content: bytes | None = None
    """Instead of the records, uncompressed."""
    packed: bytes | None = None
    """Instead of the records, as compressed."""
    checksum: int | None = None

    def build(self) -> bytes:
        content = (
            b"".join(record(part, i) for i, part in enumerate(self.parts)) if self.content is None else self.content
        )
        packed = compress(self.codec, content) if self.packed is None else self.packed
        count = len(self.parts) if self.count is None else self.count
        last = count - 1 if self.last_offset_delta is None else self.last_offset_delta
        covered = (
            struct.pack(
                ">hiqqqhii", self.attributes | CODECS.get(self.codec, 7), last, self.first_timestamp,
                self.max_timestamp, self.producer_id, -1, -1, count,
            )
            + packed
        )  # fmt: skip
        checksum = calc_crc32c(covered) if self.checksum is None else self.checksum
        behind = struct.pack(">ibI", 0, self.magic, checksum) + covered
        return struct.pack(">qi", self.base_offset, len(behind)) + behind

    def at(self, base_offset: int) -> "BatchSpec":
        return replace(self, base_offset=base_offset)


def record(part: Part, index: int) -> bytes:
    """A record as it is framed: its length, then its content."""
    content = bytearray(b"\0")
    content += varint(part.time_delta)
    content += varint(index if part.offset_delta is None else part.offset_delta)
    content += nullable(part.key) + nullable(part.value) + varint(len(part.headers))
    for name, value in part.headers:
        content += nullable(name) + nullable(value)
    return varint(len(content)) + bytes(content)


def nullable(value: bytes | None) -> bytes:
    return varint(-1) if value is None else varint(len(value)) + value


def varint(number: int) -> bytes:
    """A zigzag number, seven bits a byte, the lowest first."""
    rest = (number << 1) ^ (number >> 63)
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)


def compress(codec: str, content: bytes) -> bytes:
    """Compress as Kafka's clients do; snappy as Java's."""
    match codec:
        case "gzip":
            return gzip.compress(content, 1)
        case "snappy":
            block = bytes(cramjam.snappy.compress_raw(content))
            return XERIAL + struct.pack(">i", len(block)) + block
        case "lz4":
            return bytes(lz4_encode(content))  # blocks that depend on each other are refused by brokers
        case "zstd":
            return zstandard.ZstdCompressor(write_content_size=False).compress(content)
    return content
