"""Partitions that cannot go on: for which cause, since when, and when to try again. One waits alone, and says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.core.place import Place

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
"""Between two attempts at most. It is also how long a remedy takes to have an effect."""
LONGEST_PASSING_PAUSE_SECONDS = 1.0
"""The same for a cause that usually passes: a broker that is back is not to be waited for."""
PASSING_SECONDS = 5.0
"""A cause that usually passes, such as a leader that moves, is a reason only after so long."""
MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class Cause:
    """A sentence in two halves: the fault, and the remedy. ``passes`` if it usually does by itself.

    ``is_elsewhere`` if the partition's brokers have no part in it: they can be asked about it as about any other.
    """

    why: str
    remedy: str
    passes: bool = False
    is_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """A partition that waits at an offset (None: it has not begun). Times are monotonic seconds."""

    cause: Cause
    offset: int | None
    since: float
    attempts: int
    retry_at: float

    @property
    def is_news(self) -> bool:
        """Whether the log should have it: after 1, 2, 4, 8, … attempts."""
        return not self.attempts & (self.attempts - 1)

    def sentence(self, place: Place, now: float) -> str:
        where = f"partition {place}"
        where += " cannot begin" if self.offset is None else f" waits at offset {self.offset}"
        return f"{where}: {self.cause.why} (for {max(0, int(now - self.since))} s); {self.cause.remedy}"


@dataclass(slots=True)
class Waiting:
    """The waits of one consumer. Written by the thread that reads; replaced as a whole, since others look at it."""

    _waits: Mapping[Place, Wait] = field(default_factory=dict)

    def note(self, place: Place, offset: int | None, cause: Cause, now: float) -> Wait:
        """An attempt failed: the pause doubles with every one, up to the longest of its cause."""
        before = self._waits.get(place)
        attempts, since = (before.attempts + 1, before.since) if before else (1, now)
        longest = LONGEST_PASSING_PAUSE_SECONDS if cause.passes else LONGEST_PAUSE_SECONDS
        pause = min(longest, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, MAX_DOUBLINGS))
        wait = Wait(cause, offset, since, attempts, now + pause)
        self._waits = {**self._waits, place: wait}
        return wait

    def over(self, place: Place) -> None:
        """The partition goes on."""
        if place in self._waits:
            self._waits = {p: wait for p, wait in self._waits.items() if p != place}

    def only(self, places: frozenset[Place]) -> None:
        """Forget those of other partitions: they are somebody else's."""
        self._waits = {p: wait for p, wait in self._waits.items() if p in places}

    def is_due(self, place: Place, now: float) -> bool:
        """Whether it is time to try again."""
        wait = self._waits.get(place)
        return wait is None or now >= wait.retry_at

    def sentences(self, now: float) -> Mapping[Place, str]:
        """The reason of each partition that waits, but for causes that may be over in a moment."""
        shown = {p: w for p, w in self._waits.items() if not w.cause.passes or now - w.since >= PASSING_SECONDS}
        return {p: w.sentence(p, now) for p, w in sorted(shown.items())}

    @property
    def unanswered(self) -> frozenset[Place]:
        """Partitions whose brokers do not answer, or whose leader moves: asking about them takes until it times out."""
        return frozenset(p for p, w in self._waits.items() if w.cause.passes and not w.cause.is_elsewhere)

    @property
    def places(self) -> frozenset[Place]:
        """Partitions that wait, for whatever cause."""
        return frozenset(self._waits)
