"""Stores how far each partition has come, offsets accepted as lost, and reports for people."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.clickhouse.client import ClickHouse, sql
from pipeline.core.holding import Marks
from pipeline.core.place import Place
from pipeline.core.progress import Progress, Started
from pipeline.core.start import Gap, Stored
from schemas import tables
from schemas.endpoint import Endpoint
from schemas.limits import FACTS_RETENTION_DAYS

PROGRESS = "reading or writing progress"


class _Row(NamedTuple):
    """Progress of the newest incarnation of a partition.

    ``had`` is how many partitions its topic had, 0 where that is not known; ``moved`` all progress of that. A partition
    that is not ``is_of_newest`` was last begun in an earlier life of its topic.
    """

    place: Place
    incarnation: int
    next_offset: int
    watermark_ms: int
    topic_id: str
    had: int
    is_of_newest: bool
    moved: int
    is_retired: bool


class ProgressStore(ClickHouse):
    """ClickHouse as one Kafka cluster sees it.

    ``timeout_seconds`` bounds every statement; it must be well below the time in which Kafka would take this worker's
    partitions away. ``retention_days`` is what facts are kept for.
    """

    def __init__(
        self,
        clickhouse: str | Endpoint,
        cluster_id: str,
        worker: str,
        timeout_seconds: float,
        retention_days: int = FACTS_RETENTION_DAYS,
    ) -> None:
        super().__init__(clickhouse, timeout_seconds)
        self.retention_days = retention_days
        self.cluster_id, self.worker = cluster_id, worker
        self.incarnations: dict[Place, int] = {}
        """Of each partition the life of its topic that it is read in; 0 where none is stored."""
        self.topic_ids: dict[Place, str] = {}
        """Of each partition the id that Kafka knows its topic by, to be stored with its progress."""

    # -- progress -----------------------------------------------------------------------------------------------

    def read_stored(self) -> dict[Place, Stored]:
        """Progress of every partition that has any."""
        rows = self._read_progress("reading progress")
        stored = {row.place: Stored(row.next_offset, row.incarnation, row.topic_id) for row in rows}
        self.incarnations.update({place: s.incarnation for place, s in stored.items()})
        return stored

    def begin_incarnation(self, place: Place, incarnation: int) -> None:
        """Store progress from here on apart from the old topic's: the topic was made anew."""
        self.incarnations[place] = incarnation

    def _read_marks(self) -> Marks:
        rows = self._read_progress(PROGRESS)
        newest = [row for row in rows if row.is_of_newest]
        return Marks(
            watermarks={row.place: row.watermark_ms for row in newest},
            offsets={row.place: row.next_offset for row in newest},
            partitions={row.place.topic: row.had for row in newest if row.had},
            moved={row.place.topic: row.moved for row in rows},
            retired=frozenset(row.place.topic for row in rows if row.is_retired),
        )

    def _read_progress(self, doing: str) -> list[_Row]:
        rows = self.rows(doing, sql("state/progress"), cluster_id=self.cluster_id)
        return [_Row(Place(topic, int(number)), *known) for topic, number, *known in rows]

    def _write_progress(self, progress: Iterable[Progress], lateness_ms: int) -> None:
        lives, ids = self.incarnations, self.topic_ids
        places = [
            (*p.place, lives.get(p.place, 0), ids.get(p.place, ""), p.watermark_ms, p.next_offset) for p in progress
        ]
        if places:
            name = sql("state/write_progress")
            self.write(PROGRESS, name, cluster_id=self.cluster_id, lateness=lateness_ms, places=places)

    def _write_starts(self, starts: Iterable[Started]) -> None:
        lives, ids = self.incarnations, self.topic_ids
        places = [(*s.place, lives.get(s.place, 0), ids.get(s.place, ""), s.next_offset, s.partitions) for s in starts]
        if places:
            self.write(PROGRESS, sql("state/write_starts"), cluster_id=self.cluster_id, places=places)

    def _retire(self, topic: str, moved: int) -> None:
        self.write(PROGRESS, sql("state/retire"), cluster_id=self.cluster_id, topic=topic, moved=moved)

    def read_gaps(self) -> dict[Place, list[Gap]]:
        """Losses that operators have accepted, of each topic as it is: one made anew inherits none."""
        gaps: dict[Place, list[Gap]] = {}
        rows = self.rows("reading gaps", sql("state/gaps"), cluster_id=self.cluster_id)
        for topic, number, start, end, _ in rows:
            gaps.setdefault(Place(topic, int(number)), []).append(Gap(int(start), int(end)))
        return gaps

    def record_gap(self, place: Place, gap: Gap) -> None:
        """Record that an operator accepted the loss of these offsets."""
        names = ["cluster_id", "topic", "partition", "incarnation", "from_offset", "to_offset"]
        row = (self.cluster_id, *place, self.incarnations.get(place, 0), gap.from_offset, gap.to_offset)
        self.insert("recording a gap", tables.ACCEPTED_GAPS, names, [row])

    # -- reports: shown to people, never read by the pipeline ---------------------------------------------------

    def report_partitions(self, rows: Iterable[tuple[Place, str, int, int]]) -> None:
        """Report rows of (partition, status, next_offset, log_end_offset)."""
        places = [(*p, status, next_offset, end) for p, status, next_offset, end in rows]
        if places:
            where = {"cluster_id": self.cluster_id, "worker": self.worker}
            self.write("reporting", sql("state/report_partitions"), places=places, **where)

    def report_worker(self, group: str, reasons: Sequence[str], pending_recomputes: int) -> None:
        """Report the readiness of this worker, a member of a consumer group."""
        names = ["worker", "group", "ready", "reasons", "pending_recomputes"]
        row = (self.worker, group, int(not reasons), list(reasons), pending_recomputes)
        self.insert("reporting", tables.WORKER_STATUS, names, [row])
