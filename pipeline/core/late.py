"""Late events: which rollups must be computed again, and when that is worth a scan.

An event is late when its minute ended at or before ``closing`` as read after its fact was inserted: the roller may have
read the minute without it. Whoever inserted the fact then recomputes the bucket; until that is done its Kafka offset
stays uncommitted, so that a crash brings the event back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.core.effects import Key
from schemas.grain import Grain

MINUTE_MS = Grain.MINUTE.milliseconds
MAX_PENDING_KEYS = 1_000_000
"""Beyond this the worker stops fetching until a recompute has run."""
KEYS_WORTH_A_SCAN = 200_000
"""So many keys are recomputed at once, without waiting for their age."""
AGE_WHEN_IDLE_SECONDS = 1.0
AGE_UNDER_BACKLOG_SECONDS = 10.0
HOT_KEY_SECONDS = 5.0
"""One (minute, organization) is recomputed at most once in this time."""


def late_keys(occurred_ms: Iterable[int], org_ids: Iterable[str], closing_ms: int) -> set[Key]:
    """The (minute, organization) keys of those events whose minute ends at or before ``closing_ms``."""
    first_open = closing_ms // MINUTE_MS
    return {(t // MINUTE_MS, org) for t, org in zip(occurred_ms, org_ids, strict=True) if t // MINUTE_MS < first_open}


@dataclass(slots=True)
class PendingRecomputes:
    """Keys that wait to be recomputed, with the flush that first brought each.

    Times are monotonic seconds. ``take`` hands out a batch; ``done`` forgets it. Flushes are numbered from 1 upwards
    and come in that order, so the first key of a dict is always its oldest.
    """

    _first_flush: dict[Key, int] = field(default_factory=dict)
    _since: dict[Key, float] = field(default_factory=dict)
    _running: dict[Key, int] = field(default_factory=dict)
    _last_run: dict[Key, float] = field(default_factory=dict)
    _not_before: float = 0.0

    def __len__(self) -> int:
        return len(self._first_flush) + len(self._running)

    @property
    def is_full(self) -> bool:
        return len(self) >= MAX_PENDING_KEYS

    def add(self, keys: Iterable[Key], flush: int, now: float) -> None:
        for key in keys:
            self._first_flush.setdefault(key, flush)
            self._since.setdefault(key, now)

    def due(self, now: float, *, backlog: bool) -> bool:
        """Whether a recompute should start: enough keys, or the oldest has waited long enough."""
        if not self._since or self._running or now < self._not_before:
            return False
        oldest = now - next(iter(self._since.values()))
        return len(self._since) >= KEYS_WORTH_A_SCAN or oldest >= (
            AGE_UNDER_BACKLOG_SECONDS if backlog else AGE_WHEN_IDLE_SECONDS
        )

    def take(self, now: float) -> frozenset[Key]:
        """All keys that are not hot; they count as running until ``done``."""
        self._last_run = {k: at for k, at in self._last_run.items() if now - at < HOT_KEY_SECONDS}
        self._running = {k: flush for k, flush in self._first_flush.items() if k not in self._last_run}
        for key in self._running:
            del self._first_flush[key], self._since[key]
        return frozenset(self._running)

    def done(self, now: float, took_seconds: float) -> None:
        """The running batch is in the rollups. As much time as it took is left to the flushes before the next."""
        self._last_run.update(dict.fromkeys(self._running, now))
        self._running = {}
        self._not_before = now + took_seconds

    def settled_flush(self, newest: int) -> int:
        """The highest flush such that it and all before it have nothing pending; ``newest`` when nothing is."""
        oldest = [next(iter(keys.values())) for keys in (self._first_flush, self._running) if keys]
        return min(oldest) - 1 if oldest else newest
