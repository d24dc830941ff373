"""Real Kafka, ClickHouse over HTTP, two workers and the API, each a process of its own, against a naive recount."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.ledger import Ledger
from tests.support.recount import check_api, check_everything
from tests.support.system import System, require_kafka
from tests.support.watcher import Watcher

pytestmark = pytest.mark.timeout(540)

BACKLOG, HISTORY = 30_000, 12_000
LIVE_RATE = 200
LIVE_SECONDS = 10
"""At least so much of the minute that is watched has events of the moment."""
LONGEST_LIVE_SECONDS = 120
DAYS = 2
LATENESS_SECONDS = 5
API_ORGS = ("org-0", "org-7", "org-49")
FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def _in_order(count: int, now: datetime, pick: random.Random) -> Iterator[datetime]:
    """Two days in the order of time, 1 % of the events late by minutes to hours."""
    span = timedelta(days=DAYS)
    for number in range(count):
        at = now - span + span * number / count
        yield at - timedelta(minutes=pick.randrange(2, 300)) if pick.random() < 0.01 else at


def _at_random(count: int, now: datetime, pick: random.Random) -> Iterator[datetime]:
    return (now - timedelta(seconds=pick.randrange(60, DAYS * 86_400)) for _ in range(count))


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
        check_everything(system, ledger, now)

        # History into a caught-up system, all of it late, and beside it events as they happen, closed once and final.
        watched = _next_minute(datetime.now(UTC) + timedelta(seconds=LIVE_SECONDS))
        with Watcher(url, keys["org-0"], watched - timedelta(minutes=1)) as watcher:
            system.produce(ledger.records(_at_random(HISTORY, now, pick), now), **{"compression.type": "snappy"})
            _produce_live(system, ledger, lambda: watcher.final_buckets > 0)
            ended = datetime.now(UTC)
            owners = system.query("SELECT uniqExact(owner) FROM partition_status FINAL WHERE updated_at > now() - 10")
            assert owners == [(2,)], "both workers must have had a part in it"
            as_of = check_everything(system, ledger, ended)
        watcher.check(ledger, "org-0")

        start, end = (
            (now - timedelta(days=DAYS, hours=6)).strftime(FORMAT),
            (ended + timedelta(hours=3)).strftime(FORMAT),
        )
        for org in API_ORGS:
            assert check_api(url, keys[org], org, ledger, start, end) >= as_of
        assert [worker.end() for worker in workers] == [0, 0]


def _next_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _produce_live(system: System, ledger: Ledger, enough: Callable[[], bool]) -> None:
    """Events at the moment they happen, until a minute was closed while they came in."""
    producer, pause, began = system.producer(), threading.Event(), time.monotonic()
    while not enough():
        assert time.monotonic() - began < LONGEST_LIVE_SECONDS, "no bucket was closed while events came in"
        now = datetime.now(UTC)
        for record in ledger.records(iter([now] * (LIVE_RATE // 10)), now):
            producer.produce("message-events", record.value, key=record.key)
        producer.poll(0)
        pause.wait(0.1)
    assert producer.flush(30) == 0
