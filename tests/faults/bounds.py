"""``python -m tests.faults.bounds``: a worker's memory with a backlog, and with ClickHouse away under load."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.soak import MAX_RSS_MIB, SteadyLoad, event
from tests.support.ledger import Produced
from tests.support.system import System, wait_until
from tests.support.usage import peak_mib

BACKLOG_HOURS = 6
TOMBSTONE_SHARE = 10
"""One in so many records of the backlog has no value: a dead letter, which costs more memory than an event."""


def backlog(count: int) -> Iterator[Produced]:
    """Events of the last hours in order, tombstones between them."""
    now = datetime.now(UTC)
    for number in range(count):
        at = now - timedelta(hours=BACKLOG_HOURS) * (1 - number / count)
        yield Produced(None, None if number % TOMBSTONE_SHARE == 0 else event(number, at))


def with_a_backlog(system: System, count: int, seconds: float) -> float:
    """Peak memory of a worker that finds so many records, half of them behind a ClickHouse that is away for a while."""
    system.produce(backlog(count), **{"compression.type": "lz4", "linger.ms": 50})
    worker = system.start_worker("backlog")
    facts = _counter(system, "facts")
    wait_until("the first facts", lambda: facts() > 0, 60)
    system.wait_until_done(seconds)
    peak = peak_mib(worker.pid)
    assert worker.end() == 0
    assert facts() == count - count // TOMBSTONE_SHARE
    return peak


def with_clickhouse_away(system: System, rate: int, away_seconds: float, seconds: float) -> float:
    """Peak memory of a worker under load while ClickHouse is away; it must catch up afterwards."""
    worker, load = system.start_worker("away"), SteadyLoad(system, rate)
    load.start()
    facts = _counter(system, "facts")
    began = facts()
    wait_until("the first facts", lambda: facts() > began, 60)
    system.clickhouse.end(signal.SIGKILL)
    time.sleep(away_seconds)
    system.start_clickhouse()
    load.stop()
    system.wait_until_done(seconds)
    peak = peak_mib(worker.pid)
    assert worker.end() == 0
    assert facts() == began + load.sent
    return peak


def _counter(system: System, table: str) -> Callable[[], int]:
    return lambda: int(system.query(f"SELECT count() FROM {table} FINAL")[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--away-seconds", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        with System(Path(directory) / "backlog") as system:
            backlog_peak = with_a_backlog(system, arguments.events, 600)
            print(f"backlog of {arguments.events:,} records: {backlog_peak:.0f} MiB", flush=True)
        with System(Path(directory) / "away") as system:
            away_peak = with_clickhouse_away(system, arguments.rate, arguments.away_seconds, 300)
            print(
                f"ClickHouse away for {arguments.away_seconds:g} s at {arguments.rate:,} events/s: {away_peak:.0f} MiB"
            )
    sys.exit(max(backlog_peak, away_peak) >= MAX_RSS_MIB)


if __name__ == "__main__":
    main()
