"""The only file of the pipeline that talks to ClickHouse: performs effects, with settings that make an answer firm.

Every method blocks and may be called from any thread. A failure is raised as SinkUnavailable (repeat it) or Stop.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache, singledispatchmethod
from importlib.resources import files
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.columns import facts_table, recompute_keys_table
from pipeline.core.effects import (
    CloseBuckets,
    Effect,
    InsertDeadLetters,
    InsertFacts,
    LogClosing,
    RaiseState,
    ReadEarliestFact,
    ReadState,
    ReadWatermarks,
    RecomputeLate,
    StageKeys,
    State,
    WriteProgress,
)
from pipeline.core.start import Gap, Stored
from pipeline.errors import sink_error
from schemas import tables
from schemas.connection import connect
from schemas.grain import MS_PER_SECOND, Grain
from schemas.message_event import OTHER_KEY

MAX_PAIRS = 1000
"""(channel, error code) pairs kept per bucket; the smallest beyond are folded into one."""
T = TypeVar("T")

NO_BATCH = "00000000-0000-0000-0000-000000000000"


@cache
def sql(name: str) -> str:
    """The statement in ``pipeline/sql/NAME.sql``."""
    return (files("pipeline") / "sql" / f"{name}.sql").read_text()


def utc(instant_ms: int) -> datetime:
    """Epoch milliseconds as an aware datetime."""
    return datetime.fromtimestamp(instant_ms // MS_PER_SECOND, UTC).replace(
        microsecond=instant_ms % MS_PER_SECOND * MS_PER_SECOND
    )


class Store:
    """ClickHouse as one (cluster, topic) sees it. Each thread gets a connection of its own.

    ``timeout_seconds`` bounds every statement; it must be well below the time in which Kafka would take this worker's
    partitions away.
    """

    def __init__(self, url: str, cluster_id: str, topic: str, worker: str, timeout_seconds: float) -> None:
        self.cluster_id, self.topic, self.worker = cluster_id, topic, worker
        self._url, self._timeout_seconds = url, timeout_seconds
        self._local = threading.local()
        self._incarnations: dict[int, int] = {}
        self._closing_since = time.monotonic()

    def perform(self, effect: Effect) -> Any:
        """Do one effect and return its answer. Raises SinkUnavailable or Stop."""
        try:
            return self._perform(effect)
        except (ClickHouseError, OSError) as error:
            raise sink_error(error, _doing(effect)) from error

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            settings = {**tables.WRITE_SETTINGS, "max_execution_time": int(self._timeout_seconds)}
            client = connect(self._url, timeout_seconds=self._timeout_seconds, settings=settings)
            self._local.client = client
        return client

    def _rows(self, statement: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        return self._client().query(statement, parameters=parameters).result_rows

    def _write(self, statement: str, /, **parameters: Any) -> None:
        self._client().command(statement, parameters=parameters)

    def _insert(self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._client().insert(table, rows, column_names=names)

    @singledispatchmethod
    def _perform(self, effect: Effect) -> Any:
        raise TypeError(f"no such effect: {effect!r}")

    @_perform.register
    def _(self, effect: InsertFacts) -> None:
        self._client().insert_arrow(tables.FACTS, facts_table(effect.columns))

    @_perform.register
    def _(self, effect: InsertDeadLetters) -> None:
        names = [
            "cluster_id",
            "topic",
            "partition",
            "offset",
            "reason",
            "detail",
            "org_id",
            "event_id",
            "occurred_at",
            "record_at",
            "key",
            "has_key",
            "value",
            "has_value",
            "headers.name",
            "headers.value",
        ]
        rows = [
            (
                self.cluster_id,
                self.topic,
                x.partition,
                x.offset,
                x.reason.value,
                x.detail,
                x.org_id,
                x.event_id,
                utc(x.occurred_ms or 0),
                utc(max(x.record_ms, 0)),
                x.key or b"",
                int(x.key is not None),
                x.value or b"",
                int(x.value is not None),
                [name.encode() for name, _ in x.headers],
                [value or b"" for _, value in x.headers],
            )
            for x in effect.letters
        ]
        self._insert(tables.DEAD_LETTERS, names, rows)

    @_perform.register
    def _(self, effect: ReadState) -> State:
        return State(*map(int, self._rows(sql("read_state"))[0]))

    @_perform.register
    def _(self, effect: RaiseState) -> None:
        s = effect.state
        if s.closing_ms:
            self._closing_since = time.monotonic()
        self._write(
            sql("raise_state"),
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
            self._insert(tables.PARTITION_WATERMARKS, names, rows)

    @_perform.register
    def _(self, effect: ReadWatermarks) -> dict[int, int]:
        return {partition: mark for partition, _, _, mark in self._progress() if mark}

    @_perform.register
    def _(self, effect: ReadEarliestFact) -> int | None:
        earliest, count = self._rows(sql("earliest_fact"), floor=0)[0]
        return int(earliest) if count else None

    @_perform.register
    def _(self, effect: CloseBuckets) -> None:
        self._compute(effect.grain, effect.start, effect.end, effect.generation)

    @_perform.register
    def _(self, effect: StageKeys) -> None:
        keys = recompute_keys_table(effect.batch, effect.keys)
        self._client().insert_arrow(tables.RECOMPUTE_KEYS, keys)

    @_perform.register
    def _(self, effect: RecomputeLate) -> None:
        width = Grain.MINUTE.seconds
        minutes = [minute * width for minute, _ in effect.keys]
        start, end = effect.grain.floor(min(minutes)), effect.grain.floor(max(minutes)) + effect.grain.seconds
        self._compute(effect.grain, start, end, effect.generation, effect.batch, effect.closing_ms)

    @_perform.register
    def _(self, effect: LogClosing) -> None:
        self._write(
            sql("log_closing"),
            from_ms=effect.from_ms,
            to_ms=effect.to_ms,
            generation=effect.generation,
            worker=self.worker,
            duration_ms=int((time.monotonic() - self._closing_since) * MS_PER_SECOND),
        )

    def _compute(
        self, grain: Grain, start: int, end: int, generation: int, batch: str = NO_BATCH, closing_ms: int = 0
    ) -> None:
        """Insert the buckets of a grain in [start, end) (epoch seconds); with a batch only the late ones of it."""
        late = {"late": int(batch != NO_BATCH), "batch": batch, "max_pairs": MAX_PAIRS, "other": OTHER_KEY}
        if grain.source is None:
            self._write(sql("rollup_minute"), start=start, end=end, generation=generation, **late)
            return
        self._write(
            sql("rollup_coarser"),
            target=tables.rollup_table(grain),
            source=tables.rollup_table(grain.source),
            width=grain.seconds,
            start=start,
            end=end,
            closing=closing_ms // MS_PER_SECOND,
            **late,
        )

    def _progress(self) -> Sequence[Sequence[int]]:
        rows = self._rows(sql("read_progress"), cluster_id=self.cluster_id, topic=self.topic)
        return [tuple(map(int, row)) for row in rows]

    def _incarnation(self, partition: int) -> int:
        return self._incarnations.get(partition, 0)

    def read_stored(self) -> dict[int, Stored]:
        """Progress of every partition of the topic that has any."""
        return self._guarded("reading progress", lambda: self._read_stored())

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
        self._guarded("recording a gap", lambda: self._insert(tables.ACCEPTED_GAPS, names, [row]))

    def report_partitions(self, rows: Iterable[tuple[int, str, int, int]], now_ms: int) -> None:
        """Rows of (partition, status, next_offset, log_end_offset), only for looking at."""
        names = ["cluster_id", "topic", "partition", "owner", "status", "next_offset", "log_end_offset", "updated_at"]
        full = [(self.cluster_id, self.topic, p, self.worker, s, n, e, utc(now_ms)) for p, s, n, e in rows]
        if full:
            self._guarded("reporting", lambda: self._insert(tables.PARTITION_STATUS, names, full))

    def report_worker(self, reasons: Sequence[str], pending_recomputes: int, now_ms: int) -> None:
        """This worker's readiness, only for looking at."""
        names = ["worker", "ready", "reasons", "pending_recomputes", "updated_at"]
        row = (self.worker, int(not reasons), list(reasons), pending_recomputes, utc(now_ms))
        self._guarded("reporting", lambda: self._insert(tables.WORKER_STATUS, names, [row]))

    def clock_ms(self) -> int:
        """ClickHouse's clock."""
        return self._guarded(
            "reading the clock", lambda: int(self._rows("SELECT toUnixTimestamp64Milli(now64(3))")[0][0])
        )

    def _guarded(self, doing: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except (ClickHouseError, OSError) as error:
            raise sink_error(error, doing) from error


def _doing(effect: Effect) -> str:
    """What an effect does, for error sentences."""
    words = {
        InsertFacts: "inserting facts",
        InsertDeadLetters: "inserting dead letters",
        CloseBuckets: "closing buckets",
        RecomputeLate: "recomputing late buckets",
    }
    return words.get(type(effect), "reading or writing progress")
