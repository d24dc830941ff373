"""What is kept until all of it was read: in memory while it is little, then in a temporary file without a name.

``produce`` sends nothing before every line is checked; a regular file could be read a second time instead, but nothing
keeps others from writing to it in between. ``redrive`` reads all letters before it sends one, since a server breaks off
a statement whose answer is read slowly. Lines are compressed: events take about an eighth of their size, for a quarter
of a microsecond each.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import SpooledTemporaryFile
from types import TracebackType

import zstandard

from deploy.errors import Refused

MEMORY_BYTES = 8 << 20
BLOCK_BYTES = 1 << 20
LEVEL = 1


class Spool:
    """Lines, written once and then read once. ``add`` and ``lines`` raise Refused where the file fails."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed by __exit__
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        self._writer = compressor.stream_writer(self._file, closefd=False)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what a full disk did not take is written once more
            self._file.close()

    def add(self, line: bytes) -> None:
        """Keep a line, which has no newline."""
        with _failures("; nothing was sent"):
            self._writer.write(line + b"\n")

    def lines(self) -> Iterator[bytes]:
        """All lines, as they came."""
        with _failures("; nothing was sent"):
            self._writer.flush(zstandard.FLUSH_FRAME)
            self._file.seek(0)
        return self._read()

    def _read(self) -> Iterator[bytes]:
        with _failures(""):
            whole = zstandard.ZstdDecompressor().stream_reader(self._file, closefd=False)
            for line in io.BufferedReader(whole, BLOCK_BYTES):
                yield line[:-1]


@contextmanager
def _failures(state: str) -> Iterator[None]:
    try:
        yield
    except (OSError, zstandard.ZstdError) as error:
        why = getattr(error, "strerror", None) or error
        raise Refused(
            f"no temporary file can keep what is to be sent: {why}{state}; TMPDIR names another directory"
        ) from None
