"""Late keys that wait to be recomputed: each counts once, and an old one is recomputed more rarely than a young one.

A key that comes again while it waits changes nothing: the flush that brought it first holds back all commits behind it.
One that comes while it *runs* waits again, since its recompute may have read the facts before the new one was in::

    add ── waits ── take ── runs ── done ── rests ── may run again, and is forgotten if it did not come
            1 s to 10 s                    5 s to 60 s, by its age
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from pipeline.core.late_keys import LateKeys, Numbers, joined, minutes_of, renumbered
from schemas.grain import MS_PER_SECOND, Grain
from schemas.limits import LATE_PAUSE_SECONDS

MAX_PENDING_KEYS = 2_000_000
"""Beyond this the worker stops fetching until a recompute has run."""
PAUSES_OF_AN_AGE = 360
"""One (minute, organization) is recomputed at most so many times in the time that has passed since its minute."""
SHORTEST_PAUSE_SECONDS = 5.0
"""The shortest, whatever a clock says. The longest is a setting."""
HURRY_SECONDS = 120.0
"""After a rebalance no key rests for longer than the shortest pause, for so long: offsets wait for keys, and the next
rebalance has everything read again that is not committed by then."""
KEYS_A_TABLE = 500_000
"""Tables of keys are merged up to so many: to merge or to look through one takes milliseconds of the event loop."""
SPARE_ORGS = 1_000
"""So many organizations that no key refers to are kept, and as many as there are keys."""

Seconds = npt.NDArray[np.float64]
Which = npt.NDArray[np.bool_]
RUNS = math.inf
"""Stands for the time from which on a key may be recomputed, as long as it runs."""


class Pace(Enum):
    """Load of a worker. The value is the longest that a key waits once it may be recomputed, in seconds.

    The more keys one scan serves, the cheaper each is.
    """

    IDLE = 1.0
    """Everything in the log is read."""
    LIVE = 3.0
    """Events come, and are read as they come."""
    BACKLOG = 10.0
    """There is more to read than a few flushes take."""


def pauses(minutes: Numbers, wall_ms: int, longest: float) -> Seconds:
    """Seconds between two recomputes of a key, by its minute (a count since the epoch)."""
    ages = wall_ms / MS_PER_SECOND - minutes * Grain.MINUTE.seconds
    return np.clip(ages / PAUSES_OF_AN_AGE, SHORTEST_PAUSE_SECONDS, longest)


@dataclass(slots=True)
class _Keys:
    """Keys as columns. Codes ascend; ``flushes`` has who brought a key that waits, 0 for one that does not.

    ``ready`` is when a key may be recomputed: the one of now that waits, or rests.
    """

    codes: Numbers
    flushes: Numbers
    ready: Seconds

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def waits(self) -> Which:
        return self.flushes > 0

    def pick(self, which: Which | Numbers) -> "_Keys":
        """Some of them, or all in another order."""
        return _Keys(self.codes[which], self.flushes[which], self.ready[which])

    def merged(self, other: "_Keys") -> "_Keys":
        """These and others, of which none is here."""
        both = _Keys(
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.flushes, other.flushes]),
            np.concatenate([self.ready, other.ready]),
        )
        return both.pick(np.argsort(both.codes, kind="stable"))  # which merges runs that are in order already

    def wake(self, codes: Numbers, flush: int, now: float) -> tuple[Seconds, Numbers]:
        """Have those of ``codes`` (ascending) wait that are here and do not yet. Returns when they are ready; and the
        codes that are not here."""
        at = np.searchsorted(self.codes, codes)
        is_here = self.codes[np.minimum(at, len(self) - 1)] == codes
        woken = at[is_here]
        woken = woken[self.flushes[woken] == 0]
        self.flushes[woken] = flush
        self.ready[woken] = np.maximum(self.ready[woken], now)
        return self.ready[woken], codes[~is_here]

    def take(self, until: float) -> tuple[Numbers, int]:
        """Have those run that wait and are ready by then. Returns their codes and the lowest flush; 0 if none are."""
        is_taken = self.waits & (self.ready <= until)
        lowest = _lowest(self.flushes[is_taken])
        self.flushes[is_taken], self.ready[is_taken] = 0, RUNS
        return self.codes[is_taken], lowest

    def hurry(self, now: float) -> None:
        """End the rest of all that rest."""
        self.ready[(self.ready > now) & (self.ready < RUNS)] = now

    def rest(self, now: float, wall_ms: int, longest: float) -> "_Keys":
        """Those that are left when what ran has come to rest: that wait, or rest."""
        ran = self.ready == RUNS
        self.ready[ran] = now + pauses(minutes_of(self.codes[ran]), wall_ms, longest)
        return self.pick(self.waits | (self.ready > now))


@dataclass(slots=True)
class PendingRecomputes:
    """Keys that wait, run or rest.

    Times are monotonic seconds. ``take`` hands out a batch; ``done`` lets it rest. Flushes are numbered from 1 upwards
    and come in that order.

    ``_tables`` have no key in common. Small ones are merged (``_tidy``), so that adding looks through few and moves few
    keys, however many wait. ``_oldest`` and ``_ready`` are the lowest of all that waits.
    """

    longest_pause_seconds: float = LATE_PAUSE_SECONDS
    _tables: list[_Keys] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _waiting: int = 0
    _oldest: int = 0
    _ready: float = math.inf
    _running: int = 0
    _running_since_flush: int = 0
    _not_before: float = 0.0
    _hurried_until: float = 0.0

    def __len__(self) -> int:
        """Number of keys that wait, and of those that run: a key that waits again while it runs counts twice."""
        return self._waiting + self._running

    @property
    def is_full(self) -> bool:
        return len(self) >= MAX_PENDING_KEYS

    def add(self, keys: LateKeys, flush: int, now: float) -> None:
        """Have keys wait that do not yet."""
        codes = np.sort(keys.coded(self._places))
        for table in self._tables:
            ready, codes = table.wake(codes, flush, now)
            self._wait(flush, ready)
        if len(codes):
            new = _Keys(codes, np.full(len(codes), flush, np.int64), np.full(len(codes), now, np.float64))
            self._tables = _tidy([*self._tables, new])
            self._wait(flush, new.ready)

    def _wait(self, flush: int, ready: Seconds) -> None:
        if len(ready):
            self._waiting += len(ready)
            self._oldest = self._oldest or flush
            self._ready = min(self._ready, float(ready.min()))

    def due(self, now: float, pace: Pace) -> bool:
        """Whether a recompute should start: a key has waited long enough, or nothing is fetched any more.

        Whenever it is, ``take`` finds something.
        """
        if self._running or not self._waiting:
            return False
        due_at: float = self._ready + pace.value
        if pace is not Pace.IDLE:  # else no flush needs the time
            due_at = self._ready if self.is_full else max(self._not_before, due_at)
        return now >= due_at

    def take(self, now: float, *, hot_too: bool = False) -> LateKeys:
        """All keys that wait and do not rest any more (``hot_too``: all that wait); they run until ``done``."""
        taken = [table.take(math.inf if hot_too else now) for table in self._tables]
        keys = LateKeys(joined(codes for codes, _ in taken), tuple(self._places))
        self._running, self._running_since_flush = len(keys), min((flush for _, flush in taken if flush), default=0)
        self._look()
        return keys

    def hurry(self, now: float) -> None:
        """Have no key rest for long: a rebalance has begun other readings, and there may be more of them."""
        for table in self._tables:
            table.hurry(now)
        self._hurried_until = now + HURRY_SECONDS
        self._look()

    def done(self, now: float, took_seconds: float, wall_ms: int) -> None:
        """Let the running batch rest, which is in the rollups now; ``wall_ms`` tells how old its keys are.

        Unless idle, the next one waits at least as long as this one took: half of the time is left to flushes.
        """
        longest = SHORTEST_PAUSE_SECONDS if now < self._hurried_until else self.longest_pause_seconds
        self._tables = _tidy(table.rest(now, wall_ms, longest) for table in self._tables)
        if len(self._places) > SPARE_ORGS + 2 * sum(map(len, self._tables)):
            codes, self._places = renumbered([table.codes for table in self._tables], self._places)
            for table, its in zip(self._tables, codes, strict=True):
                table.codes = its
        self._running, self._running_since_flush = 0, 0
        self._not_before = now + took_seconds
        self._look()

    def _look(self) -> None:
        """Look what waits."""
        waiting = [(table.flushes[waits], table.ready[waits]) for table in self._tables for waits in (table.waits,)]
        self._waiting = sum(len(flushes) for flushes, _ in waiting)
        self._oldest = min((_lowest(flushes) for flushes, _ in waiting if len(flushes)), default=0)
        self._ready = min((float(ready.min()) for _, ready in waiting if len(ready)), default=math.inf)

    def settled_flush(self, newest: int) -> int:
        """The highest flush such that it and all before it have nothing pending; ``newest`` when nothing is."""
        pending = [flush for flush in (self._oldest, self._running_since_flush) if flush]
        return min(pending) - 1 if pending else newest


def _tidy(tables: Iterable[_Keys]) -> list[_Keys]:
    """The same keys, in tables of which each has twice as many as the next, unless they are too large to be merged."""
    tidy: list[_Keys] = []
    for table in tables:
        if len(table):
            tidy.append(table)
        while len(tidy) > 1 and len(tidy[-2]) < 2 * len(tidy[-1]) and len(tidy[-2]) + len(tidy[-1]) <= KEYS_A_TABLE:
            tidy[-2:] = [tidy[-2].merged(tidy[-1])]
    return tidy


def _lowest(flushes: Numbers) -> int:
    """The lowest of some flushes; 0 if there are none."""
    return int(flushes.min()) if len(flushes) else 0
