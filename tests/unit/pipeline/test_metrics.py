"""What the worker counts, and what the operations page is told."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline import metrics
from pipeline.core.flush import Batch, Chunk, Rules
from pipeline.core.late_keys import NO_KEYS
from pipeline.core.place import Place
from pipeline.core.protocol import Flushed
from pipeline.errors import SinkUnavailable
from pipeline.peer import Peer
from pipeline.runner import Retrying
from pipeline.worker.health import Health, count_flush, show_health
from pipeline.worker.operations import Operations
from tests.support.moments import at
from tests.support.places import P0, P1, P2
from tests.support.record import NOW_MS, Record


def sample(name: str, **labels: str) -> float:
    found = metrics.REGISTRY.get_sample_value(name, labels)
    assert found is not None, name
    return found


def test_dead_letters_are_counted_by_reason_even_those_found_late() -> None:
    chunk = Chunk()
    values = [b"{", b"", b"[]"]
    records = [Record(n, value) for n, value in enumerate(values)]
    chunk.add(Batch(P0, 1, 0, 3, records, 3), Rules(0, 0), at(NOW_MS), 0, 0.0)
    names = {reason: sample("msgmetrics_worker_dead_letters_total", reason=reason) for reason in REASONS}
    flushes = sample("msgmetrics_worker_flush_events_count")
    found = Flushed(NO_KEYS, 5, 0, {}, sweep=False)  # two more turned out to be too late when they were written
    count_flush(chunk, found)
    grown = {r: sample("msgmetrics_worker_dead_letters_total", reason=r) - before for r, before in names.items()}
    assert sum(grown.values()) == 5
    assert (grown["malformed_json"], grown["empty"], grown["too_late"]) == (1, 1, 2)
    assert sample("msgmetrics_worker_flush_events_count") == flushes + 1


REASONS = ("malformed_json", "invalid_field", "too_large", "empty", "future_timestamp", "too_late", "unreadable_record")


LAG, WAITS = "msgmetrics_worker_partition_lag_records", "msgmetrics_worker_partition_waiting"


def of(place: Place) -> dict[str, str]:
    return {"topic": place.topic, "partition": str(place.number)}


def test_a_partition_that_was_lost_has_no_lag_any_more() -> None:
    metrics.partitions({P0: 10, P1: 20}, {P0: 15, P1: 20}, ())
    assert sample(LAG, **of(P0)) == 5
    metrics.partitions({P1: 20}, {P1: 26}, ())
    assert sample(LAG, **of(P1)) == 6
    assert metrics.REGISTRY.get_sample_value(LAG, of(P0)) is None


def test_partitions_of_one_number_are_told_apart_by_their_topics() -> None:
    other = Place("other", 0)
    metrics.partitions({P0: 10, other: 20}, {P0: 15, other: 26}, {other})
    assert (sample(LAG, **of(P0)), sample(LAG, **of(other))) == (5, 6)
    assert (sample(WAITS, **of(P0)), sample(WAITS, **of(other))) == (0, 1)
    assert sample("msgmetrics_worker_partition_log_end_offset", **of(other)) == 26


def test_a_partition_that_waits_says_so_and_has_no_lag_where_nobody_tells_its_end() -> None:
    metrics.partitions({P0: 10, P1: 20}, {P1: 20}, {P0})
    assert [sample(WAITS, **of(place)) for place in (P0, P1)] == [1, 0]
    assert metrics.REGISTRY.get_sample_value(LAG, of(P0)) is None
    assert sample("msgmetrics_worker_partition_next_offset", **of(P0)) == 10
    metrics.partitions({}, {}, {P2})
    assert sample(WAITS, **of(P2)) == 1, "also one that could not even begin"


def test_readiness_and_the_age_of_as_of_are_worked_out_when_asked_for() -> None:
    health, now = Health(10), [NOW_MS]
    show_health(health, lambda: now[0])
    health.as_of_ms = NOW_MS - 12_000
    assert sample("msgmetrics_worker_ready") == 1
    assert sample("msgmetrics_worker_as_of_age_seconds") == 12
    now[0] += 60_000
    assert sample("msgmetrics_worker_ready") == 0
    assert sample("msgmetrics_worker_as_of_age_seconds") == 72


def test_each_statement_that_is_repeated_is_counted() -> None:
    answers: list[Exception | int] = [SinkUnavailable("away"), SinkUnavailable("away"), 1]

    def perform(_: Any) -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    before = sample("msgmetrics_worker_sink_retries_total")
    assert Retrying(perform, Peer("ClickHouse"), lambda _: False)(None) == 1  # type: ignore[arg-type]
    assert sample("msgmetrics_worker_sink_retries_total") == before + 2


class Stored:
    """Rows as ClickHouse answers them, or a failure."""

    def __init__(self, problem: SinkUnavailable | None = None) -> None:
        self.problem = problem

    def __call__(self, name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        if self.problem:
            raise self.problem
        read, unread = (*P0, 7, NOW_MS, "w", "reading", 9, NOW_MS, False), (*P1, 7, 0, "", "", 0, 0, False)
        return [read, unread, (*ENDED, 7, 1, "", "", 7, 1, True)] if name == "look/partitions" else []


ENDED = Place("ended", 0)


def test_partitions_are_told_with_their_topic_and_those_of_retired_ones_left_out() -> None:
    found = Operations("w", Health(10), lambda: at(NOW_MS), Stored()).stored()
    assert [(p["topic"], p["partition"]) for p in found["stored"]["partitions"]] == [P0, P1]


def test_a_retired_topic_is_told_of_by_workers_that_list_it() -> None:
    found = Operations("w", Health(10), lambda: at(NOW_MS), Stored(), listed={"ended"}).stored()
    assert [(p["topic"], p["partition"]) for p in found["stored"]["partitions"]] == [P0, P1, ENDED]


def test_a_partition_without_a_report_has_an_unknown_lag_and_not_zero() -> None:
    found = Operations("w", Health(10), lambda: at(NOW_MS), Stored()).stored()
    assert [(p["lag"], p["watermark"], p["status"]) for p in found["stored"]["partitions"]] == [
        (2, NOW_MS, "reading"),
        (None, None, "unknown"),
    ]


@pytest.mark.parametrize("look", [None, Stored(SinkUnavailable("ClickHouse is away"))])
def test_without_clickhouse_the_process_is_still_told_of(look: Stored | None) -> None:
    operations = Operations("w", Health(10), lambda: at(NOW_MS), look)
    found = operations.now() | operations.stored()
    assert found["stored"] is None
    assert "ClickHouse" in found["problem"]
    assert found["process"]["stage_seconds"].keys() >= set(metrics.Stage)


def test_the_history_spans_an_hour_in_steps() -> None:
    now = [NOW_MS]
    operations = Operations("w", health := Health(10), lambda: at(now[0]))
    for _ in range(3600):
        now[0] += 2000
        health.as_of_ms = now[0] - 11_000
        operations.note()
    history = operations.now()["history"]
    assert len(history) == 360
    assert history[-1][0] - history[0][0] == 3_590_000
    assert {age for _, age in history} == {11_000}
