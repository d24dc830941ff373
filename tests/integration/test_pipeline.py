"""Real Kafka, ClickHouse over HTTP, two workers and the API, each a process of its own, against a naive recount."""

import random
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.ledger import Ledger
from tests.support.recount import check_api, check_dead_letters, check_tables
from tests.support.system import System, require_kafka, wait_until
from tests.support.watcher import Watcher

pytestmark = pytest.mark.timeout(540)

BACKLOG, HISTORY = 110_000, 90_000
LIVE_SECONDS, LIVE_RATE = 150, 200
DAYS = 3
LATENESS_SECONDS = 5
API_ORGS = ("org-0", "org-7", "org-49")
FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def _in_order(count: int, now: datetime, pick: random.Random) -> Iterator[datetime]:
    """Three days in the order of time, 1 % of the events late by minutes to hours."""
    span = timedelta(days=DAYS)
    for number in range(count):
        at = now - span + span * number / count
        yield at - timedelta(minutes=pick.randrange(2, 300)) if pick.random() < 0.01 else at


def _at_random(count: int, now: datetime, pick: random.Random) -> Iterator[datetime]:
    return (now - timedelta(seconds=pick.randrange(60, DAYS * 86_400)) for _ in range(count))


def _check_all(system: System, ledger: Ledger, until: datetime) -> str:
    """Wait until everything is in and ``until`` is closed, then recount. Returns as_of."""
    system.wait_until_done(120)
    system.wait_for_as_of(int(until.timestamp() * 1000), 60)
    as_of = datetime.fromtimestamp(system.as_of_ms() / 1000, UTC).strftime(FORMAT)
    check_tables(system, ledger, as_of)
    check_dead_letters(system, ledger)
    return as_of


def test_every_number_equals_the_recount_in_backlog_history_and_live(tmp_path: Path) -> None:
    require_kafka()
    with System(tmp_path, lateness_seconds=str(LATENESS_SECONDS)) as system:
        url = system.start_api()
        keys = {}
        for org in API_ORGS:
            system.run("orgs", "set", org, "--tier", "scale")
            keys[org] = system.run("keys", "create", org).strip()
        ledger, pick, now = Ledger(seed=1), random.Random(2), datetime.now(UTC)

        # A backlog that the workers find: event-time watermarks, closed by the roller.
        system.produce(ledger.records(_in_order(BACKLOG, now, pick), now), **{"compression.type": "zstd"})
        workers = [system.start_worker("worker-1"), system.start_worker("worker-2")]
        _check_all(system, ledger, now)

        # History into a caught-up system: every event is late.
        system.produce(ledger.records(_at_random(HISTORY, now, pick), now), **{"compression.type": "snappy"})
        _check_all(system, ledger, now)
        owners = system.query("SELECT uniqExact(owner) FROM partition_status FINAL WHERE updated_at > now() - 10")
        assert owners == [(2,)], "both workers must have had a part in it"

        # Events as they happen: closed once, and final.
        with Watcher(url, keys["org-0"]) as watcher:
            _produce_live(system, ledger, LIVE_SECONDS)
            ended = datetime.now(UTC)
            system.wait_for_as_of(int(ended.timestamp() * 1000), 60)
        watcher.check(ledger, "org-0")
        assert watcher.final_buckets >= 2, "no bucket was closed while events came in"

        as_of = _check_all(system, ledger, ended)
        start, end = (
            (now - timedelta(days=DAYS, hours=6)).strftime(FORMAT),
            (ended + timedelta(hours=3)).strftime(FORMAT),
        )
        for org in API_ORGS:
            assert check_api(url, keys[org], org, ledger, start, end) >= as_of
        assert [worker.end() for worker in workers] == [0, 0]


def _produce_live(system: System, ledger: Ledger, seconds: float) -> None:
    """Events at the moment they happen, until the time is up."""
    producer, until = system.producer(), time.monotonic() + seconds
    pause = threading.Event()
    while time.monotonic() < until:
        now = datetime.now(UTC)
        for record in ledger.records(iter([now] * (LIVE_RATE // 10)), now):
            producer.produce("message-events", record.value, key=record.key)
        producer.poll(0)
        pause.wait(0.1)
    assert producer.flush(30) == 0


def test_faults_leave_no_trace_in_the_numbers(tmp_path: Path) -> None:
    """kill -9 of a worker under load, ClickHouse gone for 20 s, the broker restarted: afterwards the recount holds."""

    require_kafka()
    with System(
        tmp_path, lateness_seconds="2", kafka_session_timeout_seconds="6", kafka_heartbeat_seconds="1"
    ) as system:
        ledger, pick = Ledger(seed=3), random.Random(4)
        workers = [system.start_worker("worker-1"), system.start_worker("worker-2")]
        done = threading.Event()

        def load() -> None:
            producer = system.producer(**{"message.timeout.ms": 120_000})
            while not done.wait(0.05):
                now = datetime.now(UTC)
                late = timedelta(minutes=pick.randrange(1, 200))
                for record in ledger.records(iter([now] * 95 + [now - late] * 5), now):
                    producer.produce("message-events", record.value, key=record.key)
                producer.poll(0)
            assert producer.flush(60) == 0

        loading = threading.Thread(target=load)
        loading.start()
        try:
            wait_until("the first facts", lambda: system.query("SELECT count() FROM facts")[0][0] > 5000, 60)
            workers[0].end(signal.SIGKILL)
            workers[0] = system.start_worker("worker-3")
            seen = system.query("SELECT count() FROM facts")[0][0]
            wait_until(
                "progress after kill -9", lambda: system.query("SELECT count() FROM facts")[0][0] > seen + 20_000, 60
            )

            system.clickhouse.end(signal.SIGKILL)
            time.sleep(20)  # the outage itself
            system.start_clickhouse()
            seen = system.query("SELECT count() FROM facts")[0][0]
            wait_until(
                "progress after the outage", lambda: system.query("SELECT count() FROM facts")[0][0] > seen + 20_000, 60
            )

            system.broker.stop()
            system.broker.start()
            seen = system.query("SELECT count() FROM facts")[0][0]
            wait_until(
                "progress after the restart",
                lambda: system.query("SELECT count() FROM facts")[0][0] > seen + 20_000,
                60,
            )
        finally:
            done.set()
            loading.join()
        assert all(worker.is_alive for worker in workers)
        _check_all(system, ledger, datetime.now(UTC))
        assert [worker.end() for worker in workers] == [0, 0]
