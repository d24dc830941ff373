"""The clocks of this machine."""

import time

from pipeline.core.clocks import Moment
from schemas.instant import wall_clock_ms

_RUNNING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux has one that runs on while the machine sleeps; elsewhere a sleep looks like a step."""
CLOSE_TOGETHER_MS = 20


def this_moment() -> Moment:
    """Now, by the wall clock and by the one that nobody can set: both read without a pause in between."""
    before_ms = running_ms()
    while True:
        wall_ms, after_ms = wall_clock_ms(), running_ms()
        if after_ms - before_ms <= CLOSE_TOGETHER_MS:
            return Moment(wall_ms, after_ms)
        before_ms = after_ms


def running_ms() -> int:
    """Milliseconds by the clock that nobody can set, since some instant: for intervals."""
    return time.clock_gettime_ns(_RUNNING) // 1_000_000
