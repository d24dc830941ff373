"""A load in which everything is odd that a producer can make odd: codecs, envelopes, names of headers, late and broken
records, doubled ones, a clock a day behind or an hour ahead, transactions that are given up."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException, Producer

from pipeline.core.place import Place
from tests.faults.wrapping import Wrapping
from tests.support.ledger import Ledger, Produced
from tests.support.raw_produce import produce_raw
from tests.support.record_batch import BatchSpec, Part
from tests.support.system import System, wait_until

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TICK_SECONDS = 0.1
LATE_SHARE, DAY_BEHIND_SHARE = 0.06, 0.01
ABORT_SECONDS = 3.0
ODD_TICKS, ODD_PARTITIONS = 20, 2
ODD_HEADERS = ((b"trace-\xff", b"\x00"), (b"", None), (b"\xed\xa0\x80", b""))
"""Headers with names that are no UTF-8, none, and a lone surrogate."""
DELIVERY_MS = 600_000
TRANSACTION_MS = 8_000
"""The broker gives up an open transaction after this; until then it hides what is behind it in the log.

One is left open wherever the broker breaks in the middle of it: the recount must wait for the very end of the log.
"""


class Load:
    """Produces ``rate`` events a second until ``stop``; ``ledger`` then knows what must come of them."""

    def __init__(self, system: System, seed: int, rate: int, wrapping: Wrapping) -> None:
        self.ledger, self._never = Ledger(seed=seed), Ledger(seed=seed + 1_000_000)
        self._system, self._rate, self._wrapping = system, rate, wrapping
        self.problems: list[str] = []
        self.troubles: Counter[str] = Counter()
        """What the producers said, and got over or not."""
        self._untaken: list[tuple[Place, bytes]] = []
        """Batches with odd headers by partition, until the broker has taken them."""
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
        for tick in itertools.count():
            if self._stop.wait(TICK_SECONDS):
                break
            now, producer = datetime.now(UTC), next(turns)
            if tick % ODD_TICKS == 0:
                self._untaken.append(self._odd_batch(now))
                self._send_odd()
            for record in self.ledger.records(self._times(now), now):
                self._send(producer, record)
            for each in producers:
                each.poll(0)
        for producer in producers:
            if left := producer.flush(120):
                self.problems.append(f"{left} records were never acknowledged; {self.troubles.most_common(5)}")
        wait_until("the broker to take what has odd headers", self._send_odd, 120)

    def _odd_batch(self, now: datetime) -> tuple[Place, bytes]:
        """Valid events under such headers. Sent twice, should an answer be lost, they count once."""
        pick, at_ms = self.ledger.random, int(now.timestamp() * 1000)
        parts = [Part(self.ledger.produced(self.ledger.event(now)).value, headers=ODD_HEADERS) for _ in range(5)]
        spec = BatchSpec(parts, codec=pick.choice(CODECS), first_timestamp=at_ms, max_timestamp=at_ms)
        return Place(pick.choice(list(self._system.partitions)), pick.randrange(ODD_PARTITIONS)), spec.build()

    def _send_odd(self) -> bool:
        """Send what the broker has not taken yet; whether it has all."""
        while self._untaken:
            place, batch = self._untaken[0]
            try:
                if produce_raw(self._system.broker.bootstrap, *place, batch):
                    return False
            except KafkaError as error:
                self.troubles[str(error)] += 1
                return False
            del self._untaken[0]
        return True

    def _send(self, producer: Producer, record: Produced) -> None:
        topic, value, headers = self._system.topic_of(record.value), record.value, list[Any]()
        if value is not None and record.reason is None:
            sent = self._wrapping.wrapped(value)
            value, headers = sent.value, list(sent.headers)
        producer.produce(topic, value, key=record.key, headers=headers, on_delivery=self._delivered)

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
                    producer.produce(self._system.topic_of(record.value), record.value, key=record.key)
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
