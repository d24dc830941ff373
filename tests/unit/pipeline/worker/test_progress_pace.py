"""Paces that a worker is built with: of the progress of caught-up partitions, and of recomputes."""

import asyncio

import pytest

from pipeline.core.progress import WriteProgress
from pipeline.core.watermark import Idle
from pipeline.worker.pauses import Pauses
from pipeline.worker.worker import CLUSTER_PROGRESS_SECONDS, Worker
from schemas.settings import read_settings
from tests.support.places import P0, P1
from tests.unit.pipeline.worker.test_clock_in_doubt import Machine, Restarts

TICKS = 40


@pytest.mark.parametrize(("seconds", "written"), [(0.0, TICKS), (CLUSTER_PROGRESS_SECONDS, TICKS * Pauses().tick)])
def test_an_idle_worker_writes_as_often_as_its_clickhouse_can_take(seconds: float, written: float) -> None:
    machine = Machine(Restarts({}))
    machine.lanes.pauses = Pauses(progress=seconds)

    async def story() -> None:
        for number in range(TICKS):
            machine.boot_ms = number * int(Pauses().tick * 1000)
            machine.kafka.idle = {P0: Idle(machine.boot_ms, 0), P1: Idle(machine.boot_ms, 0)}
            await machine.lanes.tick()

    asyncio.run(story())
    assert len(machine.did(WriteProgress)) == written
    newest = max(p.watermark_ms for effect in machine.did(WriteProgress) for p in effect.progress)
    assert machine.store.clock_ms() - newest <= 10_000 + seconds * 1000, "the watermark is no older than that"


@pytest.mark.parametrize(("cluster", "seconds"), [("", 0.0), ("metrics", CLUSTER_PROGRESS_SECONDS)])
def test_the_pace_is_a_clusters_on_a_cluster_alone(
    cluster: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(read_settings({"MSGMETRICS_CLICKHOUSE_CLUSTER": cluster}))
    monkeypatch.setattr(worker, "_store", Machine().store, raising=False)
    assert worker._build_lanes(Restarts({})).pauses == Pauses(progress=seconds)  # type: ignore[arg-type]


def test_the_longest_pause_between_recomputes_is_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(read_settings({"MSGMETRICS_LATE_PAUSE_SECONDS": "7"}))
    monkeypatch.setattr(worker, "_store", Machine().store, raising=False)
    lanes = worker._build_lanes(Restarts({}))  # type: ignore[arg-type]
    assert lanes.commits.pending.longest_pause_seconds == 7
