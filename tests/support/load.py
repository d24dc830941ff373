"""Events that keep coming while a test does something else."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from tests.support.ledger import Ledger
from tests.support.system import System

TICK_SECONDS = 0.05
LATE_SHARE = 0.05


@contextmanager
def load(system: System, ledger: Ledger, rate: int, *, late_minutes: int = 200) -> Iterator[None]:
    """Produce about ``rate`` events a second, one in twenty late by up to ``late_minutes``, until the block ends."""
    done, pick, per_tick = threading.Event(), random.Random(ledger.seed), max(1, int(rate * TICK_SECONDS))
    problems: list[BaseException] = []

    def instants(now: datetime) -> Iterator[datetime]:
        for _ in range(per_tick):
            late = timedelta(minutes=pick.randrange(1, late_minutes)) if pick.random() < LATE_SHARE else timedelta(0)
            yield now - late

    def produce() -> None:
        try:
            producer = system.producer(**{"message.timeout.ms": 120_000})
            while not done.wait(TICK_SECONDS):
                now = datetime.now(UTC)
                for record in ledger.records(instants(now), now):
                    producer.produce(system.topic_of(record.value), record.value, key=record.key)
                producer.poll(0)
            assert producer.flush(60) == 0, "the brokers did not take everything"
        except BaseException as error:
            problems.append(error)

    producing = threading.Thread(target=produce)
    producing.start()
    try:
        yield
    finally:
        done.set()
        producing.join()
    if problems:
        raise problems[0]
