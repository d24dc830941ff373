"""A file of events, opened once and read once: from a path, a pipe or standard input; plain, gzip or zstd.

Memory is constant: what is compressed is fed in small pieces, and of a line without an end only the beginning is kept.
"""

import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from itertools import chain
from typing import Protocol

import zstandard

from deploy.errors import Usage
from schemas.message_event import MAX_EVENT_BYTES, MAX_RECORD_BYTES

STANDARD_INPUT = "-"
BLOCK_BYTES = 1 << 20
PIECE_BYTES = 512
"""Four bytes of zstd may say 128 KiB, so that a piece becomes 16 MiB at most; of gzip it becomes 512 KiB."""
LONGEST_LINE = 2 * MAX_EVENT_BYTES
"""An event, and room for blanks around it. Of a longer line, which is refused, no more than this is kept."""
LONGEST_RECORD = 2 * MAX_RECORD_BYTES
"""A whole record in one line: its bytes as base64, and what else is told of it."""

HEAD_BYTES = 6
BEGINNINGS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    **{bytes([0x50 + n]) + b"\x2a\x4d\x18": "zstd" for n in range(16)},  # a frame to be skipped, as pzstd writes first
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"\x04\x22\x4d\x18": "lz4",
}
"""The first bytes of compressed files. None of them can begin an event."""
SUFFIXES = {".gz": "gzip", ".zst": "zstd"}


@contextmanager
def event_lines(name: str, longest: int = LONGEST_LINE) -> Iterator[Iterator[tuple[int, bytes]]]:
    """Lines of a file that are not blank, with their numbers from 1. Raises Usage where it cannot be read whole.

    Of a line of more than ``longest`` bytes comes the beginning.
    """
    with file_blocks(name) as blocks:
        yield lines(blocks, longest)


@contextmanager
def file_blocks(name: str) -> Iterator[Iterator[bytes]]:
    """The content of a file in blocks, uncompressed. Raises Usage where it cannot be read whole."""
    title = title_of(name)
    try:
        raw = _standard_input() if name == STANDARD_INPUT else FileIO(name)
    except (OSError, ValueError) as error:
        raise _unreadable(title, error) from None
    with raw:
        yield _telling(title, _content(name, raw))


def title_of(name: str) -> str:
    """A file as a sentence calls it."""
    return "standard input" if name == STANDARD_INPUT else repr(name)


def _standard_input() -> FileIO:
    if sys.stdin is None:  # its descriptor may be another file's by now
        raise ValueError("it is closed")
    raw = FileIO(sys.stdin.fileno(), closefd=False)
    os.set_blocking(raw.fileno(), True)  # else an empty pipe, as some programs hand on, looks like the end
    return raw


def _unreadable(title: str, error: OSError | ValueError) -> Usage:
    return Usage(f"{title} cannot be read: {getattr(error, 'strerror', None) or error}")


def _telling(title: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks as they come. Raises Usage where they cannot be read or uncompressed."""
    try:
        yield from blocks
    except OSError as error:
        raise _unreadable(title, error) from None
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise Usage(f"{title} cannot be uncompressed: {error}") from None


def _content(name: str, raw: FileIO) -> Iterator[bytes]:
    """The content in blocks, uncompressed.

    The first bytes say how it is compressed, since a pipe has no suffix. A suffix that they contradict tells damage.
    """
    head = b""
    while len(head) < HEAD_BYTES and (more := raw.read(BLOCK_BYTES)):
        head += more
    blocks = chain([head], iter(lambda: raw.read(BLOCK_BYTES) or b"", b""))
    found = next((kind for beginning, kind in BEGINNINGS.items() if head.startswith(beginning)), "")
    named = SUFFIXES.get(os.path.splitext(name)[1], "")
    if named and head and found != named:
        raise EOFError(f"its name says {named}, its first bytes do not")
    match found:
        case "":
            yield from blocks
        case "gzip":
            yield from uncompressed(blocks, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), padding=b"\0")
        case "zstd":
            yield from uncompressed(blocks, zstandard.ZstdDecompressor().decompressobj)
        case _:
            spreadsheet = "; a spreadsheet (.xlsx, .ods) has to be saved as CSV" if found == "zip" else ""
            raise EOFError(
                f"it looks like {found}; uncompress it first, and pipe it into this command, with - for the file"
                + spreadsheet
            )


class Decompressor(Protocol):
    """A decompressor of one gzip member or zstd frame."""

    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def uncompressed(blocks: Iterable[bytes], begin: Callable[[], Decompressor], padding: bytes = b"") -> Iterator[bytes]:
    """All members or frames, one after the other. Raises EOFError where the last one has no end.

    A stream reader would take a zstd frame that was cut for one that has ended.
    """
    member: Decompressor | None = None
    for piece in _pieces(blocks):
        rest = piece if member else piece.lstrip(padding)
        while rest:
            member = member or begin()
            yield member.decompress(rest)
            rest, member = (member.unused_data.lstrip(padding), None) if member.eof else (b"", member)
    if member:
        raise EOFError("its end is missing")


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), PIECE_BYTES):
            yield block[start : start + PIECE_BYTES]


def lines(blocks: Iterable[bytes], longest: int = LONGEST_LINE) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers from 1, without blanks around them.

    Of a line of more than ``longest`` bytes comes the beginning, which is longer than that.
    """
    before, rest = 0, b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for number, line in enumerate(whole, before + 1):
            if text := _text(line, longest):
                yield number, text
        before += len(whole)
        rest = rest[: longest + 1]
    if text := _text(rest, longest):
        yield before + 1, text


def _text(line: bytes, longest: int) -> bytes:
    return line.strip() if len(line) <= longest else line[: longest + 1]
