"""What a replay reads: every record of the span, in whatever order producers' clocks have stamped the log."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import waiting
from pipeline.core.effects import State
from pipeline.core.flush import Batch
from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.errors import LogGap
from pipeline.kafka.fetcher import Taken
from pipeline.kafka.log_consumer import LogConsumer
from pipeline.repair import replay_reading
from pipeline.repair.replay_reading import Bounds, Reading, Wanted, find_bounds, read_batches
from schemas.settings import read_settings
from tests.support.fake_broker import Broker, close, consumer_on, tp_of
from tests.support.moments import at
from tests.support.places import P0, P1, TOPIC
from tests.support.record import Record
from tests.support.record_batch import BatchSpec, Part
from tests.support.record_batch import record as record_bytes

AFTER_2100_MS = 1_780_000_000_000_000
"""A time in microseconds, taken for milliseconds."""


class Log:
    """aiokafka's consumer on logs that are lists of records; offsets without a record are control records."""

    def __init__(self, logs: Mapping[Place, Sequence[Record]], ends: Mapping[Place, int], poll: int = 7) -> None:
        self._logs = {TopicPartition(*p): list(records) for p, records in logs.items()}
        self._ends = {TopicPartition(*p): end for p, end in ends.items()}
        self._at: dict[TopicPartition, int] = {}
        self._poll, self.polls = poll, 0
        self._client = SimpleNamespace(force_metadata_update=self.topics)

    async def topics(self) -> None: ...

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {tp.partition for tp in self._logs}

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
        bounds = await find_bounds(log, TOPIC, wanted)
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


# -- what cannot be read, with the real consumer and a broker in memory -----------------------------------------


def replay(
    batches: dict[int, list[bytes]], gaps: Mapping[Place, Sequence[Gap]], start: int = 0, rate: float = 0
) -> list[Batch]:
    async def run() -> list[Batch]:
        broker = Broker(batches)
        broker.starts[0] = start
        consumer = consumer_on(broker, *batches)
        consumer.assign = lambda tps: None
        bounds = {Place(*tp_of(n)): Bounds(0, broker.end(n)) for n in batches}
        try:
            async with asyncio.timeout(10):
                return [batch async for batch in read_batches(consumer, Wanted(0, 10**13, rate=rate), bounds, gaps)]
        finally:
            await close(consumer)

    return asyncio.run(run())


BAD = BatchSpec(parts=(Part(),) * 2, checksum=1).at(1).build()
BATCHES = {0: [BatchSpec().build(), BAD, BatchSpec().at(3).build()], 1: [BatchSpec().build()]}


def test_a_batch_that_cannot_be_read_ends_a_replay_with_the_remedy() -> None:
    with pytest.raises(LogGap, match=r"at offset 1: .*its checksum is wrong.*`msgmetrics skip message-events/0/1-2`"):
        replay(BATCHES, {})


def test_a_replay_leaves_out_what_was_accepted_as_lost() -> None:
    assert places(replay(BATCHES, {P0: [Gap(1, 3)]})) == [(P0, 0), (P0, 3), (P1, 0)]


def test_records_that_are_deleted_while_they_are_replayed_end_it_unless_the_loss_is_accepted() -> None:
    with pytest.raises(LogGap, match=r"partition 0 .* at offset 0: .*were deleted from the log"):
        replay({0: [BatchSpec().at(3).build()]}, {}, start=3)
    assert places(replay({0: [BatchSpec().at(3).build()]}, {P0: [Gap(0, 3)]}, start=3)) == [(P0, 3)]


def test_a_replay_keeps_what_is_no_record_and_reads_whatever_its_headers_are_named() -> None:
    broken = BatchSpec(parts=(Part(),) * 2, content=b"\x02\x00" + record_bytes(Part(headers=((b"\xff", b""),)), 1))
    (batch,) = replay({0: [broken.build()]}, {})
    assert ([r.offset for r in batch.records], [x.offset for x in batch.unreadable]) == ([1], [0])


def test_what_is_no_record_is_kept_once_however_small_the_batches_are() -> None:
    broken = b"\x02\x00" + b"".join(record_bytes(Part(), n) for n in range(1, 6))
    batches = {0: [BatchSpec(parts=(Part(),) * 6, content=broken).build()]}
    found = replay(batches, {}, rate=8)  # four at a time
    assert [x.offset for batch in found for x in batch.unreadable] == [0]
    assert places(found) == [(P0, n) for n in range(1, 6)]


def test_a_replay_waits_for_a_leader_that_moves_and_does_not_ask_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 0.05)

    async def run() -> None:
        broker = Broker({0: [BatchSpec().build()], 1: [BatchSpec().build()]})
        broker.errors[0] = 6  # not the leader
        consumer = consumer_on(broker, 0, 1)
        async with asyncio.timeout(10):
            first = await consumer.poll([tp_of(0), tp_of(1)], 5, 10, {})
            assert set(first) == {tp_of(1)}
            assert await consumer.poll([tp_of(0), tp_of(1)], 0.2, 10, {}) == {}
            assert len([asked for asked in broker.asked if 0 in asked]) < 6
            broker.errors.clear()
            while not (found := await consumer.poll([tp_of(0)], 5, 10, {})):
                pass
        assert [r.offset for r in found[tp_of(0)].records] == [0]
        assert consumer.waiting.places == frozenset()
        await close(consumer)

    asyncio.run(run())


def test_every_chunk_of_a_replay_is_a_second_reading() -> None:
    log = Log({P0: log_of([(5, 1)] * 20)}, {P0: 20})
    reading = Reading(read_settings({"MSGMETRICS_FLUSH_EVENTS": "5"}), Wanted(0, 30), lambda: at(0), {})

    async def run() -> list[bool]:
        bounds = await find_bounds(cast(LogConsumer, log), TOPIC, reading.wanted)
        return [chunk.is_second_reading async for chunk in reading.chunks(cast(LogConsumer, log), bounds, State())]

    found = asyncio.run(run())
    assert len(found) > 2
    assert all(found)
