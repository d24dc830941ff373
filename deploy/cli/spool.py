"""Lines kept until all of them are checked: in memory while they are few, then in a temporary file without a name.

They are compressed: events take about an eighth of their size, for a quarter of a microsecond each. A regular file
could be read a second time instead, but nothing keeps others from writing to it in between.
"""

from collections.abc import Iterator
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from types import TracebackType

import zstandard

from deploy.cli.event_file import BLOCK_BYTES, lines, telling, uncompressed
from deploy.errors import Usage

MEMORY_BYTES = 8 << 20
LEVEL = 1


class Spool:
    """Lines, written once and then read once. ``add`` and ``lines`` raise Usage where there is no room for them."""

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
        """Keep a line."""
        try:
            self._writer.write(line + b"\n")
        except OSError as error:
            raise _no_room(error) from None

    def lines(self) -> Iterator[bytes]:
        """All lines, as they came."""
        try:
            self._writer.flush(zstandard.FLUSH_FRAME)
            self._file.seek(0)
        except OSError as error:
            raise _no_room(error) from None
        blocks = iter(lambda: self._file.read(BLOCK_BYTES), b"")
        kept = uncompressed(blocks, zstandard.ZstdDecompressor().decompressobj)
        return (line for _, line in lines(telling("the temporary file", kept)))


def _no_room(error: OSError) -> Usage:
    return Usage(
        f"no temporary file can keep the events until all are checked: {error.strerror}; nothing was sent; "
        "TMPDIR names another directory"
    )
