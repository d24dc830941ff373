"""Late events: which rollups must be computed again, and when that is worth a scan.

An event is late when its minute ended at or before ``closing`` as read after its fact was inserted: the roller may have
read the minute without it. Whoever inserted the fact then recomputes the bucket; until that is done its Kafka offset
stays uncommitted, so that a crash brings the event back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

import numpy as np

from pipeline.core.late_keys import NO_KEYS, LateKeys, split
from schemas.grain import Grain

MINUTE_MS = Grain.MINUTE.milliseconds
_A_MONDAY, _WEEK = 4 * Grain.DAY.seconds, 7 * Grain.DAY.seconds
MAX_PENDING_KEYS = 2_000_000
"""Beyond this the worker stops fetching until a recompute has run."""
KEYS_A_STATEMENT = 200_000
"""One statement of a recompute covers about so many keys."""
HOT_KEY_SECONDS = 5.0
"""One (minute, organization) is recomputed at most once in this time."""


class Pace(Enum):
    """How busy a worker is. The value is the longest that a late key waits before it is recomputed, in seconds.

    The more keys one scan serves, the cheaper each is.
    """

    IDLE = 1.0
    """Everything in the log is read."""
    LIVE = 3.0
    """Events come, and are read as they come."""
    BACKLOG = 10.0
    """There is more to read than a few flushes take."""


def late_keys(occurred_ms: Sequence[int], org_ids: Sequence[str], floor_ms: int, closing_ms: int) -> LateKeys:
    """The keys of those events whose minute ends at or before ``closing_ms``, and begins at or after ``floor_ms``.

    Before the floor facts may be gone: what is left of them would be computed as if it were all.
    """
    minutes = np.array(occurred_ms, np.int64) // MINUTE_MS
    (late,) = np.nonzero((minutes < closing_ms // MINUTE_MS) & (minutes >= floor_ms // MINUTE_MS))
    return LateKeys.of(minutes[late], [org_ids[place] for place in late.tolist()]) if len(late) else NO_KEYS


def late_spans(grain: Grain, keys: LateKeys) -> list[tuple[int, int]]:
    """The spans of whole buckets (epoch seconds) in which to recompute keys, one after the other.

    A span holds few keys more than KEYS_A_STATEMENT, unless one bucket does, and lies in one week, as minutes are
    partitioned. Two spans may share a bucket: computing it twice does no harm.
    """
    seconds = keys.minutes * Grain.MINUTE.seconds
    weeks = np.flatnonzero(np.diff((seconds - _A_MONDAY) // _WEEK)) + 1
    edges = np.unique([*range(0, len(keys), KEYS_A_STATEMENT), *weeks.tolist(), len(keys)]).tolist()
    spans = [
        (grain.floor(int(seconds[first])), grain.floor(int(seconds[following - 1])) + grain.seconds)
        for first, following in pairwise(edges)
    ]
    return list(dict.fromkeys(spans))


@dataclass(frozen=True, slots=True)
class _Arrival:
    """Keys that a flush brought."""

    flush: int
    since: float
    keys: LateKeys


@dataclass(slots=True)
class PendingRecomputes:
    """Keys that wait to be recomputed, by the flush that brought them.

    Times are monotonic seconds. ``take`` hands out a batch; ``done`` forgets it. Flushes are numbered from 1 upwards
    and come in that order, so the first arrival is always the oldest.
    """

    _waiting: list[_Arrival] = field(default_factory=list)
    _running: LateKeys = NO_KEYS
    _running_since_flush: int = 0
    _ran: list[tuple[float, LateKeys]] = field(default_factory=list)
    _not_before: float = 0.0
    _all_hot_until: float = 0.0

    def __len__(self) -> int:
        """Number of keys that wait or run; a key that several flushes brought counts several times."""
        return sum(len(arrival.keys) for arrival in self._waiting) + len(self._running)

    @property
    def is_full(self) -> bool:
        return len(self) >= MAX_PENDING_KEYS

    def add(self, keys: LateKeys, flush: int, now: float) -> None:
        if len(keys):
            self._waiting.append(_Arrival(flush, now, keys))
            self._all_hot_until = 0.0

    def due(self, now: float, pace: Pace) -> bool:
        """Whether a recompute should start: the oldest key has waited long enough, or nothing is fetched any more."""
        if not self._waiting or len(self._running) or now < self._all_hot_until:
            return False
        due_at = self._waiting[0].since + pace.value
        if pace is Pace.IDLE:  # no flush needs the time
            return now >= due_at
        return self.is_full or now >= max(self._not_before, due_at)

    def take(self, now: float, *, hot_too: bool = False) -> LateKeys:
        """All keys that are not hot (``hot_too``: all keys); they count as running until ``done``."""
        self._ran = [(at, keys) for at, keys in self._ran if now - at < HOT_KEY_SECONDS and not hot_too]
        divided = list(split((arrival.keys for arrival in self._waiting), (keys for _, keys in self._ran)))
        arrivals = list(zip(self._waiting, divided, strict=True))
        self._running = LateKeys.union(cold for _, cold in divided)
        self._running_since_flush = next((arrival.flush for arrival, (_, cold) in arrivals if len(cold)), 0)
        self._waiting = [_Arrival(old.flush, old.since, hot) for old, (hot, _) in arrivals if len(hot)]
        if not len(self._running) and self._ran:
            self._all_hot_until = self._ran[0][0] + HOT_KEY_SECONDS
        return self._running

    def done(self, now: float, took_seconds: float) -> None:
        """Forget the running batch, which is in the rollups now.

        Unless idle, the next one waits at least as long as this one took: half of the time is left to flushes.
        """
        self._ran.append((now, self._running))
        self._running = NO_KEYS
        self._not_before = now + took_seconds

    def settled_flush(self, newest: int) -> int:
        """The highest flush such that it and all before it have nothing pending; ``newest`` when nothing is."""
        oldest = [arrival.flush for arrival in self._waiting[:1]]
        oldest += [self._running_since_flush] if len(self._running) else []
        return min(oldest) - 1 if oldest else newest
