"""Clocks of processes that a test sets: libfaketime, with the clock that only runs left alone."""

import os
from copy import copy
from pathlib import Path

import pytest

from tests.support.system import NO_SKIP, System

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
MISSING = "needs libfaketime; on Debian: apt-get install faketime"


def require_faketime() -> None:
    """Skip where the library is missing; fail where skips are forbidden."""
    if not has_faketime():
        pytest.skip(MISSING)


def has_faketime() -> bool:
    """Whether the library is there; fails where it is not and skips are forbidden."""
    if not LIBRARIES and os.environ.get(NO_SKIP):
        pytest.fail(MISSING)
    return bool(LIBRARIES)


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

    def over(self, system: System) -> System:
        """The same system; what is started through it has this clock."""
        under = copy(system)
        under.environment = system.environment | self.environment
        return under

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
