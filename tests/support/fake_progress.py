"""The progress of partitions in memory: the part of the fake store that knows of topics and their lives."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from pipeline.core.holding import Marks
from pipeline.core.place import Place
from pipeline.core.progress import ReadMarks, RetireTopic, WriteProgress, WriteStarts
from pipeline.core.start import Stored
from schemas.instant import wall_clock_ms


class Life(NamedTuple):
    """A life of a topic, as whoever reads it knows it: a topic that is made anew begins another one."""

    incarnation: int = 0
    topic_id: str = "the only one"


Lives = Mapping[Place, Life]
ONE_LIFE: Lives = MappingProxyType({})


@dataclass(frozen=True)
class Kept:
    """A row of progress: of one partition in one life of its topic. ``started`` is a stamp, 0 without a start."""

    next_offset: int = 0
    watermark_ms: int = 0
    topic_id: str = ""
    partitions: int = 0
    started: int = 0


@dataclass
class FakeProgress:
    """Tables as dictionaries. ``scalars_fall`` takes the protection away that scalars only rise, ``starts_unmoved``
    that a start takes a retirement back, ``lives_mixed`` that a life of a topic inherits nothing of an earlier one.
    """

    clock_ms: Callable[[], int] = wall_clock_ms
    progress: dict[tuple[Place, int], Kept] = field(default_factory=dict)
    """By partition and incarnation."""
    retired: dict[str, int] = field(default_factory=dict)
    clock: int = 0
    scalars_fall: bool = False
    starts_unmoved: bool = False
    lives_mixed: bool = False

    def steps_of_progress(
        self, effect: WriteProgress | WriteStarts | RetireTopic | ReadMarks, lives: Lives
    ) -> Generator[None, None, Any]:
        """Do an effect in steps between which others may act. ``lives`` are those that its sender writes under."""
        match effect:
            case WriteProgress(progress=progress, lateness_ms=lateness_ms):
                for p in progress:
                    old = self._kept(p.place, lives)
                    mark = self._raised(old.watermark_ms, min(p.watermark_ms, self.clock_ms() - lateness_ms))
                    offset = self._raised(old.next_offset, p.next_offset)
                    self._keep(p.place, lives, replace(old, watermark_ms=mark, next_offset=offset))
                    yield
            case WriteStarts(starts=starts):
                for start in starts:
                    old = self._kept(start.place, lives)
                    offset, had = max(old.next_offset, start.next_offset), max(old.partitions, start.partitions)
                    begun = replace(old, next_offset=offset, partitions=had, started=self._tick())
                    self._keep(start.place, lives, begun)
                    yield
            case RetireTopic(topic=topic, moved=moved):
                self.retired[topic] = max(moved, self.retired.get(topic, 0))
            case ReadMarks():
                return self._marks()
        return None

    def _kept(self, place: Place, lives: Lives) -> Kept:
        return self.progress.get((place, lives.get(place, Life()).incarnation), Kept())

    def _keep(self, place: Place, lives: Lives, row: Kept) -> None:
        life = lives.get(place, Life())
        self.progress[place, life.incarnation] = replace(row, topic_id=max(row.topic_id, life.topic_id))

    def _newest(self) -> dict[Place, tuple[int, Kept]]:
        """Of each partition its newest incarnation, and what is kept of that."""
        newest: dict[Place, tuple[int, Kept]] = {}
        for (place, incarnation), kept in self.progress.items():
            if incarnation >= newest.get(place, (0, kept))[0]:
                newest[place] = incarnation, kept
        return newest

    def _marks(self) -> Marks:
        last: dict[str, tuple[int, int, str]] = {}
        for place, (incarnation, kept) in self._newest().items():
            if kept.topic_id:
                began = incarnation, kept.started, kept.topic_id
                last[place.topic] = max(began, last.get(place.topic, began))
        ids = {topic: topic_id for topic, (*_, topic_id) in last.items()}
        rows = {
            place: kept
            for place, (_, kept) in self._newest().items()
            if kept.topic_id in ("", ids.get(place.topic)) or self.lives_mixed
        }
        had: dict[str, int] = {}
        for place, kept in rows.items():
            if kept.topic_id:
                had[place.topic] = max(kept.partitions, had.get(place.topic, 0))
        return Marks(
            watermarks={place: kept.watermark_ms for place, kept in rows.items()},
            offsets={place: kept.next_offset for place, kept in rows.items()},
            partitions={topic: number for topic, number in had.items() if number},
            moved=(moved := {topic: self._moved(topic) for topic in {place.topic for place, _ in self.progress}}),
            retired=frozenset(topic for topic, was in self.retired.items() if was == moved.get(topic)),
        )

    def _moved(self, topic: str) -> int:
        """All progress of a topic in one number, which any of it raises."""
        rows = [kept for (place, _), kept in self.progress.items() if place.topic == topic]
        started = 0 if self.starts_unmoved else sum(row.started for row in rows)
        return started + sum(row.next_offset + row.watermark_ms for row in rows)

    def _tick(self) -> int:
        """The clock of stamps: each is later than the one before."""
        self.clock += 1
        return self.clock

    def _raised(self, old: int, new: int) -> int:
        """What a scalar is after a write; a zero changes nothing."""
        return new if self.scalars_fall and new else max(old, new)

    def read_stored(self) -> dict[Place, Stored]:
        return {p: Stored(kept.next_offset, life, kept.topic_id) for p, (life, kept) in self._newest().items()}
