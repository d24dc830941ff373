"""What a replay reads: every record of the span, in whatever order producers' clocks have stamped the log."""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.effects import State
from pipeline.core.flush import Batch
from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.kafka.fetcher import Taken
from pipeline.kafka.log_consumer import LogConsumer
from pipeline.repair import replay_reading
from pipeline.repair.replay_reading import Bounds, NothingToReplay, Reading, Wanted, find_bounds, read_batches
from schemas.settings import read_settings
from tests.support.moments import at
from tests.support.places import P0, P1, TOPIC
from tests.support.record import Record

AFTER_2100_MS = 1_780_000_000_000_000
"""A time in microseconds, taken for milliseconds."""


class Log:
    """aiokafka's consumer on logs that are lists of records; offsets without a record are control records."""

    def __init__(self, logs: Mapping[Place, Sequence[Record]], ends: Mapping[Place, int], poll: int = 7) -> None:
        self.logs = logs
        self._logs = {TopicPartition(*p): list(records) for p, records in logs.items()}
        self._ends = {TopicPartition(*p): end for p, end in ends.items()}
        self._at: dict[TopicPartition, int] = {}
        self._poll, self.polls = poll, 0
        self._client = SimpleNamespace(force_metadata_update=self.topics)

    async def topics(self) -> None: ...

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {tp.partition for tp in self._logs if tp.topic == topic}

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self._ends[tp] for tp in tps}

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
        """Kafka's promise: the earliest offset whose time is not before the one asked for."""
        return {tp: self._earliest(tp, at_ms) for tp, at_ms in times.items()}

    def _earliest(self, tp: TopicPartition, at_ms: int) -> Any:
        found = (r for r in self._logs[tp] if r.timestamp is not None and r.timestamp >= max(at_ms, 0))
        return next((SimpleNamespace(offset=record.offset) for record in found), None)

    def assign(self, tps: Sequence[TopicPartition]) -> None: ...

    def pause(self, tp: TopicPartition) -> None: ...

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._at[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self._at[tp]

    async def poll(
        self, tps: Collection[TopicPartition], seconds: float, max_records: int, gaps: Mapping[Place, Sequence[Gap]]
    ) -> dict[TopicPartition, Taken]:
        self.polls += 1
        fetched = {}
        for tp in tps:
            start = self._at[tp]
            records = [r for r in self._logs[tp] if r.offset >= start][: min(self._poll, max_records)]
            self._at[tp] = records[-1].offset + 1 if records else self._ends[tp]
            if records:
                fetched[tp] = Taken(start, self._at[tp], list(records))
        return fetched


def read(log: Any, wanted: Wanted) -> list[Batch]:
    async def run() -> list[Batch]:
        bounds = await find_bounds(log, {place.topic for place in log.logs}, wanted)
        return [batch async for batch in read_batches(log, wanted, bounds, {})]

    return asyncio.run(run())


def places(batches: Sequence[Batch]) -> list[tuple[Place, int]]:
    return sorted((batch.place, record.offset) for batch in batches for record in batch.records)


TIMES = st.integers(0, 30) | st.sampled_from([None, -1, AFTER_2100_MS])
LOGS = st.lists(st.tuples(TIMES, st.integers(1, 3)), max_size=25)


def log_of(times: Sequence[tuple[int | None, int]]) -> list[Record]:
    offset, records = -1, []
    for stamp, step in times:
        offset += step
        records.append(Record(offset, b"{}", stamp))
    return records


@given(LOGS, LOGS, st.integers(0, 30), st.integers(1, 30), st.integers(0, 3), st.sampled_from([0, 10**9]))
def test_every_record_of_the_span_is_read_once_and_none_that_has_another_time(
    first: Any, second: Any, from_ms: int, length: int, hidden: int, rate: int
) -> None:
    wanted = Wanted(from_ms, from_ms + length, rate=rate)
    logs = {P0: log_of(first), P1: log_of(second)}
    ends = {p: (records[-1].offset + 1 + hidden if records else 0) for p, records in logs.items()}
    found = places(read(Log(logs, ends), wanted))
    all_of_it = {(p, record.offset): record.timestamp for p, records in logs.items() for record in records}
    in_span = {place for place, at in all_of_it.items() if at is not None and from_ms <= at < wanted.to_ms}
    assert len(found) == len(set(found))
    assert in_span <= set(found)
    timeless = {place for place, at in all_of_it.items() if at is None or at in (-1, AFTER_2100_MS)}
    assert set(found) - in_span <= timeless, "the rest are records whose time tells nothing"


@given(LOGS, st.integers(0, 30), st.integers(1, 30), st.integers(1, 5))
def test_batches_join_without_a_hole_up_to_the_end_of_the_log_however_few_are_wanted(
    times: Any, from_ms: int, length: int, at_once: int
) -> None:
    records = log_of(times)
    wanted, bounds = Wanted(from_ms, from_ms + length), Bounds(0, len(records) and records[-1].offset + 1)
    if not records:
        return
    found = Taken(records[0].offset, bounds.end, list(records))
    cut = list(replay_reading._batches(P0, found, bounds, wanted, at_once))
    assert all(len(batch.records) <= at_once for batch in cut)
    assert [batch.start for batch in cut[1:]] == [batch.next_offset for batch in cut[:-1]]
    assert (cut[0].start, cut[-1].next_offset) == (records[0].offset, bounds.end)
    assert all(batch.start <= r.offset < batch.next_offset for batch in cut for r in batch.records)


def test_a_clock_that_is_ahead_hides_no_later_record_of_the_span() -> None:
    """40 minutes ahead: the first record stamped after the span stands before most of the span."""
    minute = 60_000
    log = [Record(n, b"{}", n * minute + (40 * minute if n % 3 == 0 else 0)) for n in range(60)]
    found = places(read(Log({P0: log}, {P0: 60}), Wanted(0, 30 * minute)))
    assert found == [(P0, n) for n in range(30) if n % 3]


def test_records_behind_the_end_at_the_start_are_not_read() -> None:
    log = [Record(n, b"{}", n) for n in range(10)]
    assert places(read(Log({P0: log}, {P0: 6}), Wanted(2, 10))) == [(P0, n) for n in range(2, 6)]


def test_a_broker_that_cannot_look_up_times_is_read_whole() -> None:
    log = Log({P0: [Record(n, b"{}", -1) for n in range(5)]}, {P0: 5})
    assert places(read(log, Wanted(100, 200))) == [(P0, n) for n in range(5)]


def test_a_long_tail_outside_the_span_takes_few_polls_and_no_pause_and_is_passed_as_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    log = Log({P0: [Record(n, b"{}", n) for n in range(10_000)]}, {P0: 10_000}, poll=5_000)
    batches = read(log, Wanted(0, 4, rate=2))
    assert log.polls == 2
    assert [len(batch.records) for batch in batches] == [1, 1, 1, 1, 0]
    assert batches[-1].next_offset == 10_000
    assert max(pauses) <= 2.0, "the four records of the span, two a second, and nothing for the rest"


# -- several topics ---------------------------------------------------------------------------------------------

B0, B1 = Place("b", 0), Place("b", 1)


def log_of_two_topics() -> Log:
    return Log({place: log_of([(5, 1)] * 3) for place in (P0, P1, B0, B1)}, dict.fromkeys((P0, P1, B0, B1), 3))


@pytest.mark.parametrize(
    ("topics", "named", "found"),
    [
        ({TOPIC, "b"}, set(), {P0, P1, B0, B1}),
        ({"b"}, set(), {B0, B1}),
        ({TOPIC, "b"}, {P1, B0}, {P1, B0}),
    ],
)
def test_all_partitions_of_the_topics_are_read_or_those_that_are_named(
    topics: set[str], named: set[Place], found: set[Place]
) -> None:
    log = cast(LogConsumer, log_of_two_topics())
    assert asyncio.run(find_bounds(log, topics, Wanted(0, 9, frozenset(named)))) == dict.fromkeys(found, Bounds(0, 3))


@pytest.mark.parametrize(
    ("topics", "named", "sentence"),
    [
        ({TOPIC, "b"}, {Place("b", 7), P0, Place(TOPIC, 9)}, f"no partition b/7, {TOPIC}/9; b has 2, {TOPIC} has 2"),
        ({TOPIC, "c"}, set(), "the topic c does not exist; run `msgmetrics migrate`; or name the others with --topic"),
        ({"d", "c"}, set(), "the topics c, d do not exist; make them, or have `msgmetrics migrate --create` make them"),
        ({"c"}, set(), "the topic c does not exist; run `msgmetrics migrate`"),
    ],
)
def test_a_topic_or_a_partition_that_does_not_exist_is_named(
    topics: set[str], named: set[Place], sentence: str
) -> None:
    log = cast(LogConsumer, log_of_two_topics())
    with pytest.raises(NothingToReplay, match=f"{re.escape(sentence)}$"):
        asyncio.run(find_bounds(log, topics, Wanted(0, 9, frozenset(named))))


def test_what_is_named_is_looked_up_and_else_all_that_is_listed() -> None:
    def topics(**named: Any) -> frozenset[str]:
        settings = read_settings({"MSGMETRICS_KAFKA_TOPIC": "a,b,c"})
        return Reading(settings, Wanted(0, 9, **named), lambda: at(0), {}, None).topics

    assert topics() == {"a", "b", "c"}
    assert topics(topics=frozenset({"a", "b"})) == {"a", "b"}
    assert topics(places=frozenset({B0})) == topics(places=frozenset({B0}), topics=frozenset({"a", "b"})) == {"b"}


def test_every_chunk_of_a_replay_is_a_second_reading() -> None:
    log = Log({P0: log_of([(5, 1)] * 20)}, {P0: 20})
    reading = Reading(read_settings({"MSGMETRICS_FLUSH_EVENTS": "5"}), Wanted(0, 30), lambda: at(0), {}, None)

    async def run() -> list[bool]:
        bounds = await find_bounds(cast(LogConsumer, log), {TOPIC}, reading.wanted)
        return [chunk.is_second_reading async for chunk in reading.chunks(cast(LogConsumer, log), bounds, State())]

    found = asyncio.run(run())
    assert len(found) > 2
    assert all(found)
