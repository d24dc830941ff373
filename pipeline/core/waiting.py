"""Partitions that cannot go on: why, since when, and when to try again. One waits alone, and says so."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.core.place import Place

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
"""Between two attempts at most. It is also how long a remedy takes to have an effect."""
PASSING_SECONDS = 5.0
"""A cause that usually passes, such as a leader that moves, is a reason only after so long."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a partition cannot go on, and what helps: halves of a sentence. ``passes`` if it usually does by itself."""

    why: str
    remedy: str
    passes: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """A partition that waits at an offset (None: it has not begun). Times are monotonic seconds."""

    cause: Cause
    offset: int | None
    since: float
    attempts: int
    retry_at: float

    def sentence(self, place: Place, now: float) -> str:
        where = f"partition {place.number} of {place.topic}"
        where += " cannot begin" if self.offset is None else f" waits at offset {self.offset}"
        return f"{where}: {self.cause.why} (for {max(0, int(now - self.since))} s); {self.cause.remedy}"


@dataclass(slots=True)
class Waiting:
    """The waits of one consumer. Written by the thread that reads, read by any."""

    _waits: dict[Place, Wait] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, place: Place, offset: int | None, cause: Cause, now: float) -> Wait:
        """An attempt failed: the pause doubles with every one, up to LONGEST_PAUSE_SECONDS."""
        with self._lock:
            before = self._waits.get(place)
            attempts = before.attempts + 1 if before else 1
            since = before.since if before else now
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 16))
            wait = self._waits[place] = Wait(cause, offset, since, attempts, now + pause)
            return wait

    def over(self, place: Place) -> None:
        """The partition goes on."""
        with self._lock:
            self._waits.pop(place, None)

    def only(self, places: frozenset[Place]) -> None:
        """Forget those of other partitions: they are somebody else's."""
        with self._lock:
            self._waits = {p: wait for p, wait in self._waits.items() if p in places}

    def is_due(self, place: Place, now: float) -> bool:
        """Whether it is time to try again."""
        with self._lock:
            return place not in self._waits or now >= self._waits[place].retry_at

    def sentences(self, now: float) -> Mapping[Place, str]:
        """The reason of each partition that waits, but for causes that may be over in a moment."""
        with self._lock:
            waits = dict(self._waits)
        shown = {p: w for p, w in waits.items() if not w.cause.passes or now - w.since >= PASSING_SECONDS}
        return {p: w.sentence(p, now) for p, w in sorted(shown.items())}

    @property
    def places(self) -> frozenset[Place]:
        """Partitions that wait, for whatever cause."""
        with self._lock:
            return frozenset(self._waits)
