"""The rule of commits: which offsets may be committed to Kafka, and when. Used by the worker, by a replay for its
progress, and by the simulation.

An offset is given away for good: what lies below it is never read again. So it waits until its flush is durable and
every late key that this flush or an earlier one brought is recomputed::

    flushes    1      2 (late)   3      4
               │      ╰── recompute under way
               ▼
             may be committed   ← 2, 3 and 4 wait, in order

An offset counts only for the reading of the partition that it comes from. When that has ended, the next one begins at
what was committed or below, and would otherwise be told to go back.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.core.late_keys import LateKeys
from pipeline.core.pending import PendingRecomputes
from pipeline.core.place import Place

NO_READING = 0
"""No epoch of a worker's reading: they are numbered from 1."""


class Reached(NamedTuple):
    """The next offset that one reading of a partition has reached (``epoch``: see ``Ledger``)."""

    epoch: int
    next_offset: int


@dataclass(slots=True)
class Commits:
    """The queue of one reader, by partition; ``now`` is monotonic seconds.

    Offsets leave it by ``take``; the caller then says what was ``committed``, or that all was ``refused``.
    """

    pending: PendingRecomputes = field(default_factory=PendingRecomputes)
    _flushes: int = 0
    _waiting: deque[tuple[int, dict[Place, Reached]]] = field(default_factory=deque)
    _committed: dict[Place, Reached] = field(default_factory=dict)

    def flushed(self, late: LateKeys, reached: Mapping[Place, Reached], now: float) -> None:
        """Queue how far a flush has come that is durable, behind the late keys that it brought."""
        self._flushes += 1
        self.pending.add(late, self._flushes, now)
        self._waiting.append((self._flushes, dict(reached)))

    def idle(self, reached: Mapping[Place, Reached]) -> None:
        """Queue the positions of partitions that are caught up.

        They may lie behind aborted records, which no flush ever sees: left uncommitted, these would look like a gap
        once retention has taken them. Call it *before* anything else is awaited: a flush that ends meanwhile reaches
        further, and must be committed after this.
        """
        moved = {p: r for p, r in reached.items() if self._committed.get(p) != r}
        if moved and (not self._waiting or self._waiting[-1] != (self._flushes, moved)):
            self._waiting.append((self._flushes, moved))

    def take(self, readings: Mapping[Place, int]) -> dict[Place, Reached]:
        """Take what may be committed now, the furthest of each partition; empty where all has to wait.

        ``readings`` are the epochs of the readings under way: what belongs to another is dropped.
        """
        settled = self.pending.settled_flush(self._flushes)
        taken: dict[Place, Reached] = {}
        while self._waiting and self._waiting[0][0] <= settled:
            reached = self._waiting.popleft()[1]
            taken |= {p: r for p, r in reached.items() if readings.get(p) == r.epoch}
        return taken

    def committed(self, reached: Mapping[Place, Reached]) -> None:
        """Note what Kafka has taken."""
        self._committed |= reached

    def refused(self, reached: Mapping[Place, Reached]) -> None:
        """Put back what could not be committed, before all that came since: it is tried again with the next."""
        self._waiting.appendleft((0, dict(reached)))
