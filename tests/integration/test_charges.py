"""Charges on the real components: a topic of nothing else, each hours old, beside live traffic."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.background import Background
from tests.support.ledger import CHARGE, TYPES, Ledger
from tests.support.recount import check_everything
from tests.support.system import System, require_kafka, wait_until

pytestmark = pytest.mark.timeout(240)

MESSAGES, CHARGES = "messages", "charges"
LATENESS_SECONDS = 1
HOURS = timedelta(hours=6)
FRESH_SECONDS, WATCHED_SECONDS = 6, 12
"""The age of as_of beside live traffic: the lateness, a flush, a roll, and a machine that does other things."""


class Steady(Background):
    """Messages of this moment and, to a topic of their own, charges of six hours ago, every few ms."""

    def __init__(self, system: System, ledger: Ledger) -> None:
        super().__init__()
        self._system, self._ledger = system, ledger

    def _run(self) -> None:
        producer = self._system.producer(**{"linger.ms": 0})
        while not self._stop.wait(0.005):
            now = datetime.now(UTC)
            for topic, event in (
                (MESSAGES, self._ledger.event(now, TYPES[0])),
                (CHARGES, self._ledger.event(now - HOURS, CHARGE)),
            ):
                producer.produce(topic, self._ledger.produced(event).value)
            producer.poll(0)
        assert producer.flush(60) == 0


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    require_kafka()
    with System(tmp_path, 1, topics=(MESSAGES, CHARGES), lateness_seconds=str(LATENESS_SECONDS)) as running:
        yield running


def test_a_topic_of_charges_of_hours_ago_holds_as_of_back_by_nothing(system: System) -> None:
    ledger, ages = Ledger(seed=61, orgs=20), list[float]()
    system.start_worker("worker")
    with Steady(system, ledger):
        wait_until("as_of", lambda: system.as_of_ms() > 0, 60)
        wait_until("the history to be closed", lambda: age_seconds(system) < FRESH_SECONDS, 60)
        until = time.monotonic() + WATCHED_SECONDS
        while time.monotonic() < until:
            ages.append(age_seconds(system))
            threading.Event().wait(0.1)
        (charged,) = system.query("SELECT count() FROM facts WHERE type = 'message.charged'")
        assert charged[0] > 1000, "the topic of charges is read all along"
    assert max(ages) < FRESH_SECONDS, f"as_of was {max(ages):.1f} s old"
    check_everything(system, ledger, datetime.now(UTC))


def age_seconds(system: System) -> float:
    return datetime.now(UTC).timestamp() - system.as_of_ms() / 1000
