"""Reads partitions of a broker in memory with the real fetcher, and keeps what was handed on."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from pipeline.core import waiting
from pipeline.core.flush import Batch
from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter
from pipeline.core.start import Gap
from pipeline.core.waiting import Waiting
from pipeline.kafka.accepted import Accepted
from pipeline.kafka.fetching import Fetching
from pipeline.kafka.log_consumer import LogConsumer
from tests.support.fake_broker import Broker, close, consumer_on, tp_of
from tests.support.record_batch import BatchSpec, Part

SECONDS = 10.0


def batch(*values: bytes, at: int = 0, **changes: Any) -> bytes:
    return BatchSpec(parts=[Part(value) for value in values], **changes).at(at).build()


@dataclass
class Reader:
    """A consumer of partitions of a broker, and what was handed on of them."""

    broker: Broker
    consumer: LogConsumer
    ours: Fetching
    began_again: list[Place]
    gaps: dict[Place, list[Gap]] = field(default_factory=dict)
    offsets: dict[int, list[int]] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)

    async def once(self) -> dict[TopicPartition, list[Batch]]:
        found = await self.ours.fetch(self.consumer, {tp_of(n) for n in range(9)}, 0.1, lambda: True)
        for tp, batches in found.items():
            for taken in batches:
                self.offsets.setdefault(tp.partition, []).extend(r.offset for r in taken.records)
                self.letters += taken.unreadable
        return found

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not wanted():
                await self.once()

    def reasons(self) -> list[str]:
        return list(self.ours.waiting.sentences(self.ours.monotonic() + waiting.PASSING_SECONDS).values())

    def position(self, number: int = 0) -> int:
        return self.consumer.kept_position(tp_of(number))


def reading(broker: Broker, *numbers: int, ledger: Ledger | None = None, buffer_bytes: int = 1 << 30) -> Reader:
    ledger = ledger or Ledger()
    for number in numbers:
        ledger.begin(Place(*tp_of(number)), 0, now=0.0)
    gaps: dict[Place, list[Gap]] = {}
    began: list[Place] = []
    clock = asyncio.get_running_loop().time
    ours = Fetching(ledger, buffer_bytes, lambda: False, Waiting(), Accepted(lambda: dict(gaps)), began.append, clock)
    return Reader(broker, consumer_on(broker, *numbers), ours, began, gaps)


async def kept(reader: Reader) -> None:
    """Until something was fetched that nobody has taken."""
    while not reader.consumer.kept():  # noqa: ASYNC110 - aiokafka has no event for it
        await asyncio.sleep(0)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def on(batches: dict[int, list[bytes]]) -> Callable[[Callable[[Reader], Coroutine[Any, Any, None]]], None]:
    """Run a test with a reader of these partitions."""

    def perform(test: Callable[[Reader], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            reader = reading(Broker(batches), *batches)
            try:
                await test(reader)
            finally:
                await close(reader.consumer)

        asyncio.run(main())

    return perform
