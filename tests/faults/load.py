"""A load in which everything is odd that a producer can make odd: codecs, late and broken records, doubled ones, a
clock a day behind or an hour ahead, transactions that are given up."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import KafkaException, Producer

from tests.support.ledger import Ledger, Produced
from tests.support.system import TOPIC, System

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TICK_SECONDS = 0.1
LATE_SHARE, DAY_BEHIND_SHARE = 0.06, 0.01
ABORT_SECONDS = 3.0
DELIVERY_MS = 600_000
TRANSACTION_MS = 8_000
"""The broker gives up an open transaction after this; until then it hides what is behind it in the log.

One is left open wherever the broker breaks in the middle of it: the recount must wait for the very end of the log.
"""


class Load:
    """Produces ``rate`` events a second until ``stop``; ``ledger`` then knows what must come of them."""

    def __init__(self, system: System, seed: int, rate: int) -> None:
        self.ledger, self._never = Ledger(seed=seed), Ledger(seed=seed + 1_000_000)
        self._system, self._rate = system, rate
        self.problems: list[str] = []
        self.troubles: Counter[str] = Counter()
        """What the producers said, and got over or not."""
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name="load") for work in (self._produce, self._give_up)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No more events; returns when all are acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.problems.append(f"{work.__name__}: {error!r}")

    def _times(self, now: datetime) -> Iterator[datetime]:
        pick = self.ledger.random
        for _ in range(int(self._rate * TICK_SECONDS)):
            dice = pick.random()
            if dice < DAY_BEHIND_SHARE:
                yield now - timedelta(days=1, seconds=pick.randrange(60))
            elif dice < DAY_BEHIND_SHARE + LATE_SHARE:
                yield now - timedelta(minutes=pick.randrange(1, 200))
            else:
                yield now - timedelta(milliseconds=pick.randrange(900))

    def _produce(self) -> None:
        common = {"enable.idempotence": True, "message.timeout.ms": DELIVERY_MS, "error_cb": self._troubled}
        producers = [self._system.producer(**{"compression.type": codec, **common}) for codec in CODECS]
        turns = itertools.cycle(producers)
        while not self._stop.wait(TICK_SECONDS):
            now, producer = datetime.now(UTC), next(turns)
            for record in self.ledger.records(self._times(now), now):
                self._send(producer, record)
            for each in producers:
                each.poll(0)
        for producer in producers:
            if left := producer.flush(120):
                self.problems.append(f"{left} records were never acknowledged; {self.troubles.most_common(5)}")

    def _send(self, producer: Producer, record: Produced) -> None:
        producer.produce(TOPIC, record.value, key=record.key, on_delivery=self._delivered)

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self.problems.append(f"a record was not taken by Kafka: {error}")

    def _troubled(self, error: Any) -> None:
        self.troubles[str(error)] += 1

    def _give_up(self) -> None:
        """Transactions that are aborted: their records are in the log, and nobody may count them."""
        producer = None
        while not self._stop.wait(ABORT_SECONDS):
            try:
                producer = producer or self._transactional()
                producer.begin_transaction()
                now = datetime.now(UTC)
                for record in self._never.records(iter([now] * 20), now):
                    producer.produce(TOPIC, record.value, key=record.key)
                producer.flush(2)
                producer.abort_transaction(5)
            except KafkaException:
                producer = None  # the broker is away; it aborts what was open when its time is up

    def _transactional(self) -> Producer:
        producer = self._system.producer(
            **{"transactional.id": f"gives-up-{self._never.seed}", "transaction.timeout.ms": TRANSACTION_MS}
        )
        producer.init_transactions(5)
        return producer
