"""Performs the protocol's effects on ClickHouse, with settings that make an answer firm.

Every method blocks and may be called from any thread. A failure is raised as SinkUnavailable (repeat it) or Stop.
"""

import time
from collections.abc import Iterable, Sequence
from functools import singledispatchmethod
from typing import Any

from pipeline import metrics
from pipeline.clickhouse.arrow import DEAD_LETTER_COLUMNS, dead_letter_rows, facts_table, recompute_keys_table
from pipeline.clickhouse.client import ClickHouse, sql
from pipeline.core.effects import (
    AwaitStatements,
    CloseBuckets,
    Effect,
    Erased,
    EraseRollups,
    EraseRows,
    Erasures,
    FindErased,
    FinishErasure,
    InsertDeadLetters,
    InsertFacts,
    LogClosing,
    RaiseState,
    ReadEarliestFact,
    ReadErasures,
    ReadHighestGeneration,
    ReadState,
    ReadWatermarks,
    RebuildBuckets,
    RecomputeLate,
    StageKeys,
    State,
    WriteProgress,
)
from pipeline.core.late import KEYS_A_STATEMENT
from pipeline.core.start import Gap, Stored
from schemas import tables
from schemas.endpoint import Endpoint
from schemas.grain import MS_PER_SECOND, Grain
from schemas.instant import utc
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.message_event import OTHER_KEY
from schemas.sharding import alter_target

MAX_PAIRS = 1000
"""(channel, error code) pairs kept per bucket; the smallest beyond are folded into one."""
NO_BATCH = "00000000-0000-0000-0000-000000000000"
AWAIT_POLL_SECONDS = 0.05


class Store(ClickHouse):
    """ClickHouse as one (cluster, topic) sees it.

    ``timeout_seconds`` bounds every statement; it must be well below the time in which Kafka would take this worker's
    partitions away.
    """

    def __init__(
        self, clickhouse: str | Endpoint, cluster_id: str, topic: str, worker: str, timeout_seconds: float
    ) -> None:
        super().__init__(clickhouse, timeout_seconds)
        self.cluster_id, self.topic, self.worker = cluster_id, topic, worker
        self._incarnations: dict[int, int] = {}
        self._closing_since = time.monotonic()

    def perform(self, effect: Effect) -> Any:
        """Do one effect and return its answer. Raises SinkUnavailable or Stop."""
        return self.guarded(_doing(effect), lambda: self._perform(effect))

    @singledispatchmethod
    def _perform(self, effect: Effect) -> Any:
        raise TypeError(f"no such effect: {effect!r}")

    @_perform.register
    def _(self, effect: InsertFacts) -> None:
        with metrics.STAGE_SECONDS.labels("build").time():
            facts = facts_table(effect.columns)
        with metrics.STAGE_SECONDS.labels("insert").time():
            self.insert_arrow(tables.FACTS, facts)

    @_perform.register
    def _(self, effect: InsertDeadLetters) -> None:
        rows = dead_letter_rows(self.cluster_id, self.topic, effect.letters)
        self.insert(tables.DEAD_LETTERS, DEAD_LETTER_COLUMNS, rows)

    @_perform.register
    def _(self, effect: ReadState) -> State:
        return State(*map(int, self.rows(sql("state/read"))[0]))

    @_perform.register
    def _(self, effect: RaiseState) -> None:
        s = effect.state
        if s.closing_ms:
            self._closing_since = time.monotonic()
        self.write(
            sql("state/raise"),
            as_of_ms=s.as_of_ms,
            closing_ms=s.closing_ms,
            facts_floor_ms=s.facts_floor_ms,
            generation=s.generation,
        )

    @_perform.register
    def _(self, effect: WriteProgress) -> None:
        names = ["cluster_id", "topic", "partition", "incarnation", "watermark", "next_offset"]
        rows = [
            (
                self.cluster_id,
                self.topic,
                p.partition,
                self._incarnation(p.partition),
                utc(p.watermark_ms),
                p.next_offset,
            )
            for p in effect.progress
        ]
        if rows:
            self.insert(tables.PARTITION_WATERMARKS, names, rows)

    @_perform.register
    def _(self, effect: ReadWatermarks) -> dict[int, int]:
        return {partition: mark for partition, _, _, mark in self._progress() if mark}

    @_perform.register
    def _(self, effect: ReadEarliestFact) -> int | None:
        earliest, count = self.rows(sql("rollup/earliest_fact"), org=effect.org_id)[0]
        return int(earliest) if count else None

    @_perform.register
    def _(self, effect: CloseBuckets) -> None:
        self._compute(effect.grain, effect.start, effect.end, effect.generation)

    @_perform.register
    def _(self, effect: StageKeys) -> None:
        for keys in effect.keys.parts(KEYS_A_STATEMENT):
            self.insert_arrow(tables.RECOMPUTE_KEYS, recompute_keys_table(effect.batch, keys))

    @_perform.register
    def _(self, effect: RecomputeLate) -> None:
        e = effect
        self._compute(e.grain, e.start, e.end, e.generation, batch=e.batch, closing_ms=e.closing_ms)

    @_perform.register
    def _(self, effect: ReadHighestGeneration) -> int:
        return int(self.rows(sql("rollup/highest_generation"))[0][0])

    @_perform.register
    def _(self, effect: RebuildBuckets) -> None:
        self._compute(effect.grain, effect.start, effect.end, effect.generation, rebuild=True, org_id=effect.org_id)

    @_perform.register
    def _(self, effect: ReadErasures) -> Erasures:
        return self._erasures("erasure/list")

    @_perform.register
    def _(self, effect: FindErased) -> Erasures:
        return self._erasures("erasure/find")

    def _erasures(self, name: str) -> Erasures:
        return {org: int(at_ms) for org, at_ms in self.rows(sql(name))}

    @_perform.register
    def _(self, effect: EraseRows) -> Erased:
        place = {"org": effect.org_id, "at_ms": effect.at_ms}
        announcement = self._announcement(effect.org_id)
        rows = int(self.rows(sql("erasure/count_rows"), **place)[0][0])
        if rows or not announcement:
            self.write(sql("erasure/announce"), **place)
        if rows:
            for table in (tables.FACTS, tables.DEAD_LETTERS):
                self._alter("erasure/delete_rows", table, **place)
        return Erased(announcement, rows)

    @_perform.register
    def _(self, effect: EraseRollups) -> int | None:
        org = effect.org_id
        if self._announcement(org) > effect.announcement:
            return None
        self.write(sql("erasure/announce"), org=org, at_ms=0)
        announcement = self._announcement(org)
        self._alter("erasure/delete_rollup", tables.rollup_table(effect.grain), org=org)
        return announcement

    def _alter(self, name: str, table: str, **parameters: Any) -> None:
        """Run a statement that changes a table on all servers that hold a part of it."""
        self.write(sql(name).replace("TARGET", alter_target(table, self.endpoint.cluster)), **parameters)

    def _announcement(self, org_id: str) -> int:
        """The newest announcement of an organization's erasure, 0 before the first."""
        return int(self.rows(sql("erasure/announcement"), org=org_id)[0][0])

    @_perform.register
    def _(self, effect: FinishErasure) -> None:
        self.write(sql("erasure/finish"), org=effect.org_id, announcement=effect.announcement)

    @_perform.register
    def _(self, effect: AwaitStatements) -> None:
        if self.endpoint.cluster:  # one server does not know what the others run
            time.sleep(LONGEST_STATEMENT_SECONDS)
            return
        (asked_at,) = self.rows(sql("state/clock"))[0]
        deadline = time.monotonic() + self.timeout_seconds
        while time.monotonic() < deadline and self.rows(sql("state/older_statements"), asked_at=asked_at)[0][0]:
            time.sleep(AWAIT_POLL_SECONDS)

    @_perform.register
    def _(self, effect: LogClosing) -> None:
        self.write(
            sql("state/log_closing"),
            from_ms=effect.from_ms,
            to_ms=effect.to_ms,
            generation=effect.generation,
            worker=self.worker,
            duration_ms=int((time.monotonic() - self._closing_since) * MS_PER_SECOND),
        )

    def _compute(
        self,
        grain: Grain,
        start: int,
        end: int,
        generation: int,
        *,
        batch: str = NO_BATCH,
        closing_ms: int = 0,
        rebuild: bool = False,
        org_id: str = "",
    ) -> None:
        """Insert the buckets of a grain in [start, end) (epoch seconds); with a batch only the late ones of it."""
        asked = {
            "start": start,
            "end": end,
            "generation": generation,
            "late": int(batch != NO_BATCH),
            "batch": batch,
            "rebuild": int(rebuild),
            "org": org_id,
            "max_pairs": MAX_PAIRS,
            "other": OTHER_KEY,
        }
        if grain.source is None:
            self.write(sql("rollup/minute"), **asked)
            return
        self.write(
            sql("rollup/coarser"),
            target=tables.rollup_table(grain),
            source=tables.rollup_table(grain.source),
            width=grain.seconds,
            closing=closing_ms // MS_PER_SECOND,
            **asked,
        )

    def _progress(self) -> Sequence[Sequence[int]]:
        rows = self.rows(sql("state/progress"), cluster_id=self.cluster_id, topic=self.topic)
        return [tuple(map(int, row)) for row in rows]

    def _incarnation(self, partition: int) -> int:
        return self._incarnations.get(partition, 0)

    def read_stored(self) -> dict[int, Stored]:
        """Progress of every partition of the topic that has any."""
        return self.guarded("reading progress", lambda: self._read_stored())

    def _read_stored(self) -> dict[int, Stored]:
        stored = {p: Stored(next_offset, incarnation) for p, incarnation, next_offset, _ in self._progress()}
        self._incarnations.update({p: s.incarnation for p, s in stored.items()})
        return stored

    def begin_incarnation(self, partition: int, incarnation: int) -> None:
        """The topic was made anew: progress from here on is stored apart from the old one's."""
        self._incarnations[partition] = incarnation

    def record_gap(self, partition: int, gap: Gap) -> None:
        """Keep on record that an operator accepted the loss of these offsets."""
        names = ["cluster_id", "topic", "partition", "from_offset", "to_offset"]
        row = (self.cluster_id, self.topic, partition, gap.from_offset, gap.to_offset)
        self.guarded("recording a gap", lambda: self.insert(tables.ACCEPTED_GAPS, names, [row]))

    def report_partitions(self, rows: Iterable[tuple[int, str, int, int]], now_ms: int) -> None:
        """Rows of (partition, status, next_offset, log_end_offset), only for looking at."""
        names = ["cluster_id", "topic", "partition", "owner", "status", "next_offset", "log_end_offset", "updated_at"]
        full = [(self.cluster_id, self.topic, p, self.worker, s, n, e, utc(now_ms)) for p, s, n, e in rows]
        if full:
            self.guarded("reporting", lambda: self.insert(tables.PARTITION_STATUS, names, full))

    def report_worker(self, reasons: Sequence[str], pending_recomputes: int, now_ms: int) -> None:
        """This worker's readiness, only for looking at."""
        names = ["worker", "ready", "reasons", "pending_recomputes", "updated_at"]
        row = (self.worker, int(not reasons), list(reasons), pending_recomputes, utc(now_ms))
        self.guarded("reporting", lambda: self.insert(tables.WORKER_STATUS, names, [row]))

    def look(self, name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Rows of a statement that is only for looking, about this cluster and topic."""
        about = {"cluster_id": self.cluster_id, "topic": self.topic}
        return self.guarded("looking", lambda: self.rows(sql(name), **about, **parameters))

    def clock_ms(self) -> int:
        """ClickHouse's clock."""
        return self.guarded("reading the clock", lambda: int(self.rows(sql("state/clock"))[0][0]) // 1000)


def _doing(effect: Effect) -> str:
    """What an effect does, for error sentences."""
    words = {
        InsertFacts: "inserting facts",
        InsertDeadLetters: "inserting dead letters",
        CloseBuckets: "closing buckets",
        RecomputeLate: "recomputing late buckets",
    }
    return words.get(type(effect), "reading or writing progress")
