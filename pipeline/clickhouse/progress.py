"""Stores how far each partition has come, offsets accepted as lost, and reports for people."""

from collections.abc import Iterable, Sequence

from pipeline.clickhouse.client import ClickHouse, sql
from pipeline.core.effects import Progress
from pipeline.core.place import Place
from pipeline.core.start import Gap, Stored
from schemas import tables
from schemas.endpoint import Endpoint
from schemas.limits import FACTS_RETENTION_DAYS

PROGRESS = "reading or writing progress"


class ProgressStore(ClickHouse):
    """ClickHouse as one (cluster, topic) sees it.

    ``timeout_seconds`` bounds every statement; it must be well below the time in which Kafka would take this worker's
    partitions away. ``retention_days`` is what facts are kept for.
    """

    def __init__(
        self,
        clickhouse: str | Endpoint,
        cluster_id: str,
        topic: str,
        worker: str,
        timeout_seconds: float,
        retention_days: int = FACTS_RETENTION_DAYS,
    ) -> None:
        super().__init__(clickhouse, timeout_seconds)
        self.retention_days = retention_days
        self.cluster_id, self.topic, self.worker = cluster_id, topic, worker
        self.incarnations: dict[Place, int] = {}
        """Of each partition the life of its topic that it is read in; 0 where none is stored."""
        self.topic_ids: dict[Place, str] = {}
        """Of each partition the id that Kafka knows its topic by, to be stored with its progress."""

    # -- progress -----------------------------------------------------------------------------------------------

    def read_stored(self) -> dict[Place, Stored]:
        """Progress of every partition of the topic that has any."""
        rows = self._read_progress("reading progress")
        stored = {place: Stored(offset, incarnation, topic_id) for place, incarnation, offset, _, topic_id in rows}
        self.incarnations.update({place: s.incarnation for place, s in stored.items()})
        return stored

    def begin_incarnation(self, place: Place, incarnation: int) -> None:
        """Store progress from here on apart from the old topic's: the topic was made anew."""
        self.incarnations[place] = incarnation

    def _read_watermarks(self) -> dict[Place, int]:
        """Partition to watermark (epoch milliseconds), only partitions that have one."""
        return {place: mark for place, _, _, mark, _ in self._read_progress(PROGRESS) if mark}

    def _read_progress(self, doing: str) -> Sequence[tuple[Place, int, int, int, str]]:
        """Rows of (partition, incarnation, next offset, watermark in epoch milliseconds, topic's id)."""
        rows = self.rows(doing, sql("state/progress"), cluster_id=self.cluster_id, topic=self.topic)
        return [(Place(topic, int(p)), int(life), int(o), int(mark), name) for topic, p, life, o, mark, name in rows]

    def _write_progress(self, progress: Iterable[Progress], lateness_ms: int) -> None:
        lives, ids = self.incarnations, self.topic_ids
        places = [
            (*p.place, lives.get(p.place, 0), ids.get(p.place, ""), p.watermark_ms, p.next_offset) for p in progress
        ]
        if places:
            name = sql("state/write_progress")
            self.write(PROGRESS, name, cluster_id=self.cluster_id, lateness=lateness_ms, places=places)

    def read_gaps(self) -> dict[Place, list[Gap]]:
        """Losses that operators have accepted, of the topic as it is: one made anew inherits none."""
        gaps: dict[Place, list[Gap]] = {}
        rows = self.rows("reading gaps", sql("state/gaps"), cluster_id=self.cluster_id, topic=self.topic)
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
