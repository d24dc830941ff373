"""A worker's clock and the API's are set while they run: by an hour, by weeks, forward and back. Numbers stay exact."""

import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.faketime import Clock, require_faketime
from tests.support.ledger import Ledger
from tests.support.recount import check_api, check_everything
from tests.support.system import Process, System, require_kafka, wait_until

pytestmark = pytest.mark.timeout(300)

HOUR, DAY = 3600, 86_400
STEPS = (-HOUR, HOUR, 40 * DAY, -20 * DAY)
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
EVENTS = 400


def test_numbers_stay_exact_and_nothing_gets_ahead_of_the_time(tmp_path: Path) -> None:
    require_kafka()
    require_faketime()
    with System(tmp_path, partitions=4, lateness_seconds="2") as system:
        clock, wrong = Clock(tmp_path / "clock", 0), Clock(tmp_path / "wrong", -HOUR)
        right = system.environment
        system.environment = right | clock.environment
        worker, url = system.start_worker("worker-1"), system.start_api()
        system.environment = right | wrong.environment
        other = system.start_worker("worker-2")
        system.environment = right
        _await_reason(other, "behind ClickHouse's")
        system.run("orgs", "set", "org-0", "--tier", "scale")
        key = system.run("keys", "create", "org-0", "--expires", _in(HOUR // 2)).strip()
        ledger, began = Ledger(seed=25), datetime.now(UTC)
        _produce(system, ledger)
        for step in STEPS:
            clock.set(step)
            _produce(system, ledger)
            _await_reason(worker, "ClickHouse's")
            assert system.as_of_ms() <= time.time_ns() // 1_000_000
            assert worker.is_alive
            assert _status(url, key) == 200, "a key expires by ClickHouse's clock"
        clock.set(0)
        wrong.set(0)
        _produce(system, ledger)

        as_of = check_everything(system, ledger, datetime.now(UTC))
        start, end = (began - timedelta(hours=1)).strftime(FORMAT), (began + timedelta(hours=1)).strftime(FORMAT)
        assert check_api(url, key, "org-0", ledger, start, end) >= as_of
        assert system.query("SELECT max(facts_floor) = toDateTime64(0, 3) FROM watermark") == [(1,)]
        assert [w.end() for w in (worker, other)] == [0, 0]


def _produce(system: System, ledger: Ledger) -> None:
    """Events of this moment, some of them broken, of a producer whose clock is right."""
    now = datetime.now(UTC)
    moments = (now - timedelta(milliseconds=random.randrange(2000)) for _ in range(EVENTS))
    system.produce(ledger.records(moments, now))


def _await_reason(worker: Process, words: str) -> None:
    """Wait until a worker is not ready for a reason with these words."""

    def told() -> Any:
        return [reason for reason in worker.readiness()[1] if words in reason and "clock" in reason]

    wait_until(f"{worker.name} to say: {words}", told, 30)


def _status(url: str, key: str) -> int:
    query = {"metric": "sent", "granularity": "minute", "from": _in(-600), "to": _in(-300)}
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.get(f"{url}/v1/metrics/messages", params=query, headers=headers, timeout=10).status_code


def _in(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime(FORMAT)
