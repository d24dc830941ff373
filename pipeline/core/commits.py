"""Which offsets may be committed to Kafka, and when: the one rule of the worker, of a replay's progress and of the
simulation.

An offset is promised away for good: what lies below it is never read again. So it waits until its flush is durable and
every late key that this flush or an earlier one brought is recomputed::

    flushes    1      2 (late)   3      4
               │      ╰── recompute under way
               ▼
             may be committed   ← 2, 3 and 4 wait, in order
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.core.late import PendingRecomputes
from pipeline.core.late_keys import LateKeys


@dataclass(slots=True)
class Commits:
    """The queue of one reader. All offsets are next offsets; ``now`` is monotonic seconds.

    Offsets leave the queue by ``take``; the caller then says ``committed`` or ``refused``.
    """

    pending: PendingRecomputes = field(default_factory=PendingRecomputes)
    _flushes: int = 0
    _waiting: deque[tuple[int, dict[int, int]]] = field(default_factory=deque)
    _committed: dict[int, int] = field(default_factory=dict)

    def flushed(self, late: LateKeys, offsets: Mapping[int, int], now: float) -> None:
        """Queue the offsets of a flush that is durable, behind the late keys that it brought."""
        self._flushes += 1
        self.pending.add(late, self._flushes, now)
        self._waiting.append((self._flushes, dict(offsets)))

    def idle(self, positions: Mapping[int, int]) -> None:
        """Queue positions of partitions that are caught up.

        They may lie behind aborted records, which no flush ever sees: left uncommitted, these would look like a gap
        once retention has taken them. Call it *before* telling anybody else: a flush that ends meanwhile reaches
        further, and must be committed after this.
        """
        moved = {p: position for p, position in positions.items() if self._committed.get(p) != position}
        if moved and (not self._waiting or self._waiting[-1] != (self._flushes, moved)):
            self._waiting.append((self._flushes, moved))

    def take(self) -> dict[int, int]:
        """Take what may be committed now, the highest offset of each partition; empty where all has to wait."""
        settled = self.pending.settled_flush(self._flushes)
        offsets: dict[int, int] = {}
        while self._waiting and self._waiting[0][0] <= settled:
            offsets |= self._waiting.popleft()[1]
        return offsets

    def committed(self, offsets: Mapping[int, int]) -> None:
        """Note what Kafka has taken. What was taken from the queue and is missing here belongs to another by now."""
        self._committed |= offsets

    def refused(self, offsets: Mapping[int, int]) -> None:
        """Put back what could not be committed, before all that came since: it is tried again with the next."""
        self._waiting.appendleft((0, dict(offsets)))
