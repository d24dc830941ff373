"""Performs the protocol's effects on ClickHouse, with settings that make an answer firm.

Every method blocks, may be called from any thread, and asks once: `pipeline.runner.Retrying` repeats effects. A failure
is raised as SinkUnavailable (repeat it) or Stop.
"""

import time
from collections.abc import Sequence
from functools import singledispatchmethod
from typing import Any

from pipeline import metrics
from pipeline.clickhouse.arrow import DEAD_LETTER_COLUMNS, dead_letter_rows, facts_table, recompute_keys_table
from pipeline.clickhouse.client import sql
from pipeline.clickhouse.progress import PROGRESS
from pipeline.clickhouse.schema import check_schema
from pipeline.clickhouse.stating import StatingStore
from pipeline.clock import running_ms, this_moment
from pipeline.core.clocks import ClockReading
from pipeline.core.effects import (
    CloseBuckets,
    CountStaged,
    Effect,
    InsertDeadLetters,
    InsertFacts,
    LogClosing,
    RaiseState,
    ReadEarliestFact,
    ReadHighestGeneration,
    ReadState,
    RebuildBuckets,
    RecomputeLate,
    StageKeys,
    State,
    Synchronise,
    WriteResync,
)
from pipeline.core.holding import Marks
from pipeline.core.late import KEYS_A_STATEMENT
from pipeline.core.progress import ReadMarks, RetireTopic, WriteProgress, WriteStarts
from pipeline.core.watermark import RETENTION_MARGIN_SECONDS
from pipeline.errors import TooMuchAtOnce
from schemas import tables
from schemas.grain import MS_PER_SECOND, Grain
from schemas.limits import LONGEST_INSERT_SECONDS
from schemas.message_event import OTHER_KEY

MAX_PAIRS = 1000
"""(channel, error code) pairs kept per bucket; the smallest beyond are folded into one."""
NO_BATCH = "00000000-0000-0000-0000-000000000000"
"""Stands for no batch, where a statement needs some UUID."""


class Store(StatingStore):
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
    def _synchronise(self, effect: Synchronise) -> None:
        if self.endpoint.cluster:
            self.rows("synchronising the servers", sql("state/synchronise"))

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
    def _answer_marks(self, effect: ReadMarks) -> Marks:
        return self._read_marks()

    @perform.register
    def _note_starts(self, effect: WriteStarts) -> None:
        self._write_starts(effect.starts)

    @perform.register
    def _retire_topic(self, effect: RetireTopic) -> None:
        self._retire(effect.topic, effect.moved)

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
            self._write_rows(doing, sql("rollup/minute"), **asked)
            return
        self._write_rows(
            doing,
            sql("rollup/coarser"),
            target=tables.rollup_table(grain),
            source=tables.rollup_table(grain.source),
            width=grain.seconds,
            closing=closing_ms // MS_PER_SECOND,
            **asked,
        )

    def _write_rows(self, doing: str, statement: str, **asked: Any) -> None:
        """Run a statement that writes rows of a rollup.

        They carry the time at which it began, and are seen when it has ended. By that time copies know what they lack,
        so what took longer than any insert may is computed again, though it was taken. Raises TooMuchAtOnce then.
        """
        began_ms = running_ms()
        self.write(doing, statement, **asked)
        if (took_ms := running_ms() - began_ms) > LONGEST_INSERT_SECONDS * MS_PER_SECOND:
            raise TooMuchAtOnce(
                f"{doing} took {took_ms // MS_PER_SECOND} s, longer than any insert may; doing it again"
            )

    # -- copies -------------------------------------------------------------------------------------------------

    @perform.register
    def _write_resync(self, effect: WriteResync) -> None:
        self.write(PROGRESS, sql("state/resync"), org=effect.org_id)

    # -- erasures -----------------------------------------------------------------------------------------------

    perform.register(StatingStore.read_erasures)
    perform.register(StatingStore.find_erased)
    perform.register(StatingStore.order_erasure)
    perform.register(StatingStore.erase_rows)
    perform.register(StatingStore.erase_rollups)
    perform.register(StatingStore.finish_erasure)
    perform.register(StatingStore.read_inserts)
    perform.register(StatingStore.await_inserts)

    # -- statements ---------------------------------------------------------------------------------------------

    perform.register(StatingStore.read_statable)
    perform.register(StatingStore.read_lines)
    perform.register(StatingStore.read_statements)
    perform.register(StatingStore.read_documents)
    perform.register(StatingStore.append_statements)
    perform.register(StatingStore.read_stating)
    perform.register(StatingStore.read_restored)
    perform.register(StatingStore.erase_statements)

    # -- looking ------------------------------------------------------------------------------------------------

    def look(self, name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Rows of a statement that is only for looking, about this Kafka cluster."""
        return self.rows("looking", sql(name), cluster_id=self.cluster_id, **parameters)

    def clock_ms(self) -> int:
        """ClickHouse's clock in epoch milliseconds."""
        return int(self.rows("reading the clock", sql("state/clock"))[0][0]) // 1000
