"""Progress of replays, kept in ClickHouse so that an interrupted one can be resumed."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from pipeline.core.place import Place
from pipeline.repair.replay_reading import Bounds, NothingToReplay, Wanted
from schemas import tables

T = TypeVar("T")


class Repeat(Protocol):
    """Repeats a call until ClickHouse takes it, as ``pipeline.runner.Retrying.call`` does."""

    def __call__(self, work: Callable[..., T], /, *args: Any) -> T: ...


class Replays:
    """The stored progress of one replay at a time. Every method blocks and repeats its statement by ``repeat``.

    Raises SinkUnavailable where ``repeat`` gives up, or Stop. Rows only rise, so a repetition changes nothing.
    """

    def __init__(self, store: Store, repeat: Repeat) -> None:
        self._store, self._repeat = store, repeat
        self._replay = uuid.UUID(int=0)
        self._wanted = Wanted(0, 0)
        self._first: dict[Place, Bounds] = {}
        self._next: dict[Place, int] = {}

    def begin(self, replay: uuid.UUID, wanted: Wanted, bounds: Mapping[Place, Bounds]) -> None:
        """Note a new replay of these offsets."""
        self._remember(replay, wanted, bounds)
        self._write({p: b.start for p, b in bounds.items()})

    def resume(self, wanted: Wanted) -> dict[Place, Bounds]:
        """Offsets left of the newest interrupted replay of the same span. Raises NothingToReplay."""
        rows = self._repeat(self._read_interrupted, wanted)
        if not rows:
            raise NothingToReplay("no replay of that span was interrupted; run it without --resume")
        bounds = {Place(topic, int(number)): Bounds(int(start), int(end)) for _, topic, number, start, end, _ in rows}
        lives = self._store.incarnations
        anew = {topic for _, topic, n, *_, life in rows if int(life) != lives.get(Place(topic, int(n)), 0)}
        if anew:
            names = ", ".join(sorted(anew))
            raise NothingToReplay(f"made anew since that replay was interrupted: {names}; run it without --resume")
        if not wanted.is_all_of(bounds.keys()):
            names = ", ".join(map(str, sorted(bounds)))
            raise NothingToReplay(f"the interrupted replay is of partitions {names}; name these, or none")
        self._remember(uuid.UUID(str(rows[0][0])), wanted, bounds)
        return bounds

    def _read_interrupted(self, wanted: Wanted) -> Sequence[Sequence[Any]]:
        """Rows of (replay, topic, partition, offset reached, end offset, incarnation)."""
        return self._store.rows(
            "reading replays",
            sql("replay/interrupted"),
            cluster_id=self._store.cluster_id,
            from_ms=wanted.from_ms,
            to_ms=wanted.to_ms,
        )

    def _remember(self, replay: uuid.UUID, wanted: Wanted, bounds: Mapping[Place, Bounds]) -> None:
        self._replay, self._wanted, self._first = replay, wanted, dict(bounds)
        self._next = {p: b.start for p, b in bounds.items()}

    def advance(self, passed: Mapping[Place, int]) -> int:
        """Note that everything below these offsets is in. Returns how many offsets are passed in all."""
        self._next |= passed
        self._write(passed)
        return sum(self._next[p] - b.start for p, b in self._first.items())

    def finish(self) -> None:
        """Note that all is read, also where the last offsets hold no records."""
        self._write({p: b.end for p, b in self._first.items()})

    def _write(self, offsets: Mapping[Place, int]) -> None:
        names = [
            "replay",
            "cluster_id",
            "from_ms",
            "to_ms",
            "topic",
            "partition",
            "incarnation",
            "next_offset",
            "end_offset",
        ]
        lives = self._store.incarnations
        replay = (self._replay, self._store.cluster_id, self._wanted.from_ms, self._wanted.to_ms)
        rows = [(*replay, *p, lives.get(p, 0), offset, self._first[p].end) for p, offset in offsets.items()]
        if rows:
            self._repeat(self._store.insert, "storing a replay", tables.REPLAYS, names, rows)
