"""Performs the protocol's effects on ClickHouse, with settings that make an answer firm.

Every method blocks, may be called from any thread, and asks once: `pipeline.runner.Retrying` repeats effects. A failure
is raised as SinkUnavailable (repeat it) or Stop.
"""

import time
from collections.abc import Sequence
from functools import singledispatchmethod
from typing import Any, Protocol

from pipeline import metrics
from pipeline.clickhouse.arrow import DEAD_LETTER_COLUMNS, dead_letter_rows, facts_table, recompute_keys_table
from pipeline.clickhouse.client import sql
from pipeline.clickhouse.progress import PROGRESS, ProgressStore
from pipeline.clickhouse.schema import check_schema
from pipeline.clock import this_moment
from pipeline.core.clocks import ClockReading
from pipeline.core.effects import (
    AwaitStatements,
    CloseBuckets,
    CountStaged,
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
    OrderErasure,
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
from pipeline.core.place import Place
from pipeline.core.watermark import RETENTION_MARGIN_SECONDS
from schemas import tables
from schemas.grain import MS_PER_SECOND, Grain
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.message_event import OTHER_KEY
from schemas.sharding import alter_target

MAX_PAIRS = 1000
"""(channel, error code) pairs kept per bucket; the smallest beyond are folded into one."""
NO_BATCH = "00000000-0000-0000-0000-000000000000"
"""Stands for no batch, where a statement needs some UUID."""
AWAIT_POLL_SECONDS = 0.05


class Look(Protocol):
    """Rows of a statement that is only for looking, by its name. Blocks; raises SinkUnavailable or Stop."""

    def __call__(self, name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]: ...


class Store(ProgressStore):
    """ClickHouse for the protocol: one method for each effect, chosen by the effect's type."""

    _closing_since = 0.0
    """Monotonic seconds of this process's last announced closing; 0 before the first."""

    @singledispatchmethod
    def perform(self, effect: Effect) -> Any:
        """Do one effect and return its answer. Raises SinkUnavailable or Stop."""
        raise TypeError(f"no such effect: {effect!r}")

    # -- flushes, state and progress ----------------------------------------------------------------------------

    @perform.register
    def _insert_facts(self, effect: InsertFacts) -> None:
        with metrics.STAGE_SECONDS.labels("build").time():
            facts = facts_table(effect.columns)
        with metrics.STAGE_SECONDS.labels("insert").time():
            self.insert_arrow("inserting facts", tables.FACTS, facts)

    @perform.register
    def _insert_dead_letters(self, effect: InsertDeadLetters) -> None:
        rows = dead_letter_rows(self.cluster_id, self.incarnations, effect.letters)
        self.insert("inserting dead letters", tables.DEAD_LETTERS, DEAD_LETTER_COLUMNS, rows)

    @perform.register
    def _read_state(self, effect: ReadState) -> State:
        before = this_moment()
        rows = self.rows(PROGRESS, sql("state/read"), days=self.retention_days, margin=RETENTION_MARGIN_SECONDS)
        took_ms = this_moment().boot_ms - before.boot_ms
        as_of, closing, facts_floor, generation, schema, schema_done, theirs, server = rows[0]
        check_schema(int(schema), int(schema_done))
        clock = ClockReading(server, int(theirs), before, took_ms)
        return State(int(as_of), int(closing), int(facts_floor), int(generation), clock)

    @perform.register
    def _raise_state(self, effect: RaiseState) -> None:
        s = effect.state
        if s.closing_ms:
            self._closing_since = time.monotonic()
        self.write(
            PROGRESS,
            sql("state/raise"),
            as_of_ms=s.as_of_ms,
            closing_ms=s.closing_ms,
            facts_floor_ms=s.facts_floor_ms,
            generation=s.generation,
        )

    @perform.register
    def _note_progress(self, effect: WriteProgress) -> None:
        self._write_progress(effect.progress, effect.lateness_ms)

    @perform.register
    def _answer_watermarks(self, effect: ReadWatermarks) -> dict[Place, int]:
        return self._read_watermarks()

    # -- rollups ------------------------------------------------------------------------------------------------

    @perform.register
    def _read_earliest_fact(self, effect: ReadEarliestFact) -> int | None:
        earliest, count = self.rows(PROGRESS, sql("rollup/earliest_fact"), org=effect.org_id)[0]
        return int(earliest) if count else None

    @perform.register
    def _close_buckets(self, effect: CloseBuckets) -> None:
        e = effect
        self._compute("closing buckets", e.grain, e.start, e.end, e.generation)

    @perform.register
    def _stage_keys(self, effect: StageKeys) -> None:
        for keys in effect.keys.parts(KEYS_A_STATEMENT):
            self.insert_arrow(PROGRESS, tables.RECOMPUTE_KEYS, recompute_keys_table(effect.batch, keys))

    @perform.register
    def _recompute_late(self, effect: RecomputeLate) -> None:
        e, doing = effect, "recomputing late buckets"
        self._compute(doing, e.grain, e.start, e.end, e.generation, batch=e.batch, closing_ms=e.closing_ms)

    @perform.register
    def _count_staged(self, effect: CountStaged) -> int:
        return int(self.rows(PROGRESS, sql("rollup/count_staged"), batch=effect.batch)[0][0])

    @perform.register
    def _read_highest_generation(self, effect: ReadHighestGeneration) -> int:
        return int(self.rows(PROGRESS, sql("rollup/highest_generation"))[0][0])

    @perform.register
    def _rebuild_buckets(self, effect: RebuildBuckets) -> None:
        e = effect
        self._compute(PROGRESS, e.grain, e.start, e.end, e.generation, rebuild=True, org_id=e.org_id)

    @perform.register
    def _log_closing(self, effect: LogClosing) -> None:
        now = time.monotonic()
        self.write(
            PROGRESS,
            sql("state/log_closing"),
            from_ms=effect.from_ms,
            to_ms=effect.to_ms,
            generation=effect.generation,
            worker=self.worker,
            duration_ms=int((now - (self._closing_since or now)) * MS_PER_SECOND),
        )

    def _compute(
        self,
        doing: str,
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
            self.write(doing, sql("rollup/minute"), **asked)
            return
        self.write(
            doing,
            sql("rollup/coarser"),
            target=tables.rollup_table(grain),
            source=tables.rollup_table(grain.source),
            width=grain.seconds,
            closing=closing_ms // MS_PER_SECOND,
            **asked,
        )

    # -- erasures -----------------------------------------------------------------------------------------------

    @perform.register
    def _read_erasures(self, effect: ReadErasures) -> Erasures:
        return self._erasures("erasure/list")

    @perform.register
    def _find_erased(self, effect: FindErased) -> Erasures:
        return self._erasures("erasure/find")

    def _erasures(self, name: str) -> Erasures:
        return {org: int(at_ms) for org, at_ms in self.rows(PROGRESS, sql(name))}

    @perform.register
    def _order_erasure(self, effect: OrderErasure) -> None:
        self.write(PROGRESS, sql("erasure/order"), org=effect.org_id, at_ms=effect.at_ms)

    @perform.register
    def _erase_rows(self, effect: EraseRows) -> Erased:
        place = {"org": effect.org_id, "at_ms": effect.at_ms}
        announcement = self._announcement(effect.org_id)
        rows = int(self.rows(PROGRESS, sql("erasure/count_rows"), **place)[0][0])
        if rows or not announcement:
            self.write(PROGRESS, sql("erasure/announce"), **place)
        if rows:
            for table in (tables.FACTS, tables.DEAD_LETTERS):
                self._alter("erasure/delete_rows", table, **place)
        return Erased(announcement, rows)

    @perform.register
    def _erase_rollups(self, effect: EraseRollups) -> int | None:
        org = effect.org_id
        if self._announcement(org) > effect.announcement:
            return None
        self.write(PROGRESS, sql("erasure/announce"), org=org, at_ms=0)
        announcement = self._announcement(org)
        self._alter("erasure/delete_rollup", tables.rollup_table(effect.grain), org=org)
        return announcement

    def _alter(self, name: str, table: str, **parameters: Any) -> None:
        """Run a statement that changes a table on all servers that hold a part of it."""
        self.write(PROGRESS, sql(name).replace("TARGET", alter_target(table, self.endpoint.cluster)), **parameters)

    def _announcement(self, org_id: str) -> int:
        """The newest announcement of an organization's erasure, 0 before the first."""
        return int(self.rows(PROGRESS, sql("erasure/announcement"), org=org_id)[0][0])

    @perform.register
    def _finish_erasure(self, effect: FinishErasure) -> None:
        self.write(PROGRESS, sql("erasure/finish"), org=effect.org_id, announcement=effect.announcement)

    @perform.register
    def _await_statements(self, effect: AwaitStatements) -> None:
        if self.endpoint.cluster:  # a server lists its own statements only, so their time limit is waited for
            time.sleep(LONGEST_STATEMENT_SECONDS)
            return
        ((asked_at,),) = self.rows(PROGRESS, sql("state/clock"))
        deadline = time.monotonic() + self.timeout_seconds
        while time.monotonic() < deadline and self._count_older_statements(asked_at):
            time.sleep(AWAIT_POLL_SECONDS)

    def _count_older_statements(self, asked_at: int) -> int:
        """Number of statements that have been running since before an instant (epoch microseconds)."""
        return int(self.rows(PROGRESS, sql("state/older_statements"), asked_at=asked_at)[0][0])

    # -- looking ------------------------------------------------------------------------------------------------

    def look(self, name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Rows of a statement that is only for looking, about this cluster and topic."""
        return self.rows("looking", sql(name), cluster_id=self.cluster_id, topic=self.topic, **parameters)

    def clock_ms(self) -> int:
        """ClickHouse's clock in epoch milliseconds."""
        return int(self.rows("reading the clock", sql("state/clock"))[0][0]) // 1000
