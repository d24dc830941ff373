"""Clocks of processes that a test sets: libfaketime, with the clock that only runs left alone."""

import os
from pathlib import Path

import pytest

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
NO_SKIP = "MSGMETRICS_TEST_NO_SKIP"


def require_faketime() -> None:
    """Skip where the library is missing; fail where skips are forbidden."""
    if not LIBRARIES:
        told = "needs libfaketime; on Debian: apt-get install faketime"
        if os.environ.get(NO_SKIP):
            pytest.fail(told)
        pytest.skip(told)


class Clock:
    """The wall clock of every process that is started with its ``environment``.

    ``time.sleep`` fails under it, which libfaketime takes for a sleep until a time of its own; nothing else does.
    """

    def __init__(self, file: Path, by_seconds: int) -> None:
        self._file = file
        self.set(by_seconds)

    def set(self, by_seconds: int) -> None:
        """Set it that far ahead of the true time; negative is behind. What is running sees it at once."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{by_seconds:+d}\n")
        written.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
