"""Belief in this machine's clock: it is held against ClickHouse's, and against one that nobody can set.

Verdicts on event time, claims of idleness and sweeps rest on the clock. While it is in doubt they wait, with a reason.
Nothing tells which of two clocks is wrong, so that either makes them wait.
"""

import threading
from dataclasses import dataclass, field

from schemas.grain import MS_PER_SECOND
from schemas.instant import rfc3339

MOST_SKEW_MS = 1000
"""Clocks that differ by more do not agree."""
AGREEING_MS = 500
AGREEING_READINGS = 3
"""Clocks that did not agree do so again after so many readings in a row that differ by less than that."""
LONGEST_READING_MS = 1000
"""A reading that took longer tells nothing: theirs may have been read at either end of it."""
HEARD_MS = 60_000
STEP_MS = 500
"""The wall clock was set if it moved that much against the one that only runs, between two looks at both."""
STEP_HOLD_MS = 30_000


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by both clocks of this machine, in milliseconds.

    ``wall_ms`` is epoch milliseconds, and may be set at any time; ``boot_ms`` counts from some instant on and only
    runs, also while the machine sleeps.
    """

    wall_ms: int
    boot_ms: int

    @property
    def offset_ms(self) -> int:
        """The setting of the wall clock: it changes only where that is set, or slewed."""
        return self.wall_ms - self.boot_ms

    def at(self, boot_ms: int) -> "Moment":
        """Another moment, with the wall clock as it is set now."""
        return Moment(boot_ms + self.offset_ms, boot_ms)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """ClickHouse's clock (epoch ms), read by one of its servers between ``before`` and ``took_ms`` later."""

    server: str
    theirs_ms: int
    before: Moment
    took_ms: int

    def as_theirs(self, now: Moment) -> Moment:
        """A moment as their clock would show it, at the least: that ran as ours did since the end of the reading."""
        return Moment(self.theirs_ms + now.boot_ms - self.before.boot_ms - self.took_ms, now.boot_ms)

    @property
    def tells(self) -> bool:
        """Whether it was quick enough to tell anything."""
        return self.took_ms <= LONGEST_READING_MS

    def skew_ms(self, offset_ms: int | None = None) -> int:
        """The least by which this machine's clock is ahead of theirs (negative: behind); 0 where it may agree.

        With ``offset_ms`` that of the wall clock as it was set at another moment.
        """
        ours_ms = self.before.boot_ms + (self.before.offset_ms if offset_ms is None else offset_ms)
        return clock_skew_ms(ours_ms, self.theirs_ms, ours_ms + self.took_ms)

    def agrees(self, *offsets_ms: int) -> bool:
        """Whether the wall clock, as it was set at these moments, and as it is now, agrees with theirs."""
        return self.tells and all(abs(self.skew_ms(at)) <= MOST_SKEW_MS for at in (None, *offsets_ms))


NOT_READ = ClockReading("", 0, Moment(0, 0), LONGEST_READING_MS + 1)
"""Tells nothing."""


def clock_skew_ms(before_ms: int, theirs_ms: int, after_ms: int) -> int:
    """The least by which their clock is behind (positive) or ahead of ours (negative); 0 where it may agree.

    Theirs was read at some moment between our two readings. On a busy machine these may lie seconds apart, which says
    nothing about the clocks.

    ::

        ours    before ├──────────────┤ after
        theirs    ^ behind     ^ agrees      ^ ahead
    """
    if theirs_ms < before_ms:
        return before_ms - theirs_ms
    return min(0, after_ms - theirs_ms)


@dataclass(slots=True)
class _Server:
    """One server: the newest reading, and how many in a row up to it agree well."""

    newest: ClockReading
    agreeing: int = 0


@dataclass(slots=True)
class Clocks:
    """Keeps an eye on the clocks of one process. For any thread; the time is an argument of every method.

    A server that was not heard for ``heard_ms`` has no say.
    """

    heard_ms: int = HEARD_MS
    _servers: dict[str, _Server] = field(default_factory=dict)
    _disagreed: ClockReading | None = None
    """The newest reading that did not agree; None while all is well."""
    _was_compared: bool = False
    _seen: Moment | None = None
    _moved_ms: int = 0
    _held_until_ms: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, reading: ClockReading) -> None:
        """A server's clock was read."""
        with self._lock:
            self._look(reading.before)
            if not reading.tells:
                return
            self._was_compared = True
            server = self._servers.setdefault(reading.server, _Server(reading))
            skew_ms, server.newest = abs(reading.skew_ms()), reading
            if self._disagreed is None or reading.before.boot_ms > self._disagreed.before.boot_ms:
                server.agreeing = server.agreeing + 1 if skew_ms < AGREEING_MS else 0
            if skew_ms > MOST_SKEW_MS:
                if self._disagreed is None:  # what was heard before tells nothing any more
                    for known in self._servers.values():
                        known.agreeing = 0
                self._disagreed = reading

    def problem(self, now: Moment) -> str | None:
        """The sentence why this machine's clock may not be believed; None if it may.

        To be asked often: a step of the wall clock is noticed by what it was when this was asked before.
        """
        with self._lock:
            self._look(now)
            servers = self._heard(now).values()
            if servers and all(server.agreeing >= AGREEING_READINGS for server in servers):
                self._disagreed = None
            if self._disagreed is not None:
                return _disagreement(self._disagreed)
            if not self._was_compared:
                return "this machine's clock has not been compared with ClickHouse's yet; nothing is read until then"
            if now.boot_ms < self._held_until_ms:
                return (
                    f"this machine's clock was set by {self._moved_ms / MS_PER_SECOND:+.3f} s and is "
                    f"{rfc3339(now.wall_ms)} now; reading goes on {STEP_HOLD_MS // MS_PER_SECOND} s after that"
                )
        return None

    def skew_ms(self, now: Moment) -> int | None:
        """The largest skew of the last minute, of any server; positive if this machine is ahead. None: unknown."""
        with self._lock:
            return max((server.newest.skew_ms() for server in self._heard(now).values()), key=abs, default=None)

    def _look(self, now: Moment) -> None:
        if self._seen and now.boot_ms < self._seen.boot_ms:  # a reading that took its time
            return
        moved_ms = now.offset_ms - self._seen.offset_ms if self._seen else 0
        if abs(moved_ms) > STEP_MS:
            self._moved_ms, self._held_until_ms = moved_ms, now.boot_ms + STEP_HOLD_MS
        self._seen = now

    def _heard(self, now: Moment) -> dict[str, _Server]:
        """The servers that were heard of late; others are forgotten."""
        since_ms = now.boot_ms - self.heard_ms
        self._servers = {name: s for name, s in self._servers.items() if s.newest.before.boot_ms >= since_ms}
        return self._servers


def _disagreement(reading: ClockReading) -> str:
    """Names both clocks."""
    skew_ms = reading.skew_ms()
    return (
        f"this machine's clock showed {rfc3339(reading.before.wall_ms)}, {abs(skew_ms) / MS_PER_SECOND:.3f} s "
        f"{'behind' if skew_ms < 0 else 'ahead of'} ClickHouse's, which showed {rfc3339(reading.theirs_ms)} (server "
        f"{reading.server}); nothing is read until they agree: synchronise both (NTP)"
    )
