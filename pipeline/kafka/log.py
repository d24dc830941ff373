"""Kafka as the lanes see it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from pipeline.core.watermark import Idle
from pipeline.kafka.consumer import BatchConsumerThread
from pipeline.peer import Peer

log = logging.getLogger(__name__)
T = TypeVar("T")


class KafkaLog:
    """What the lanes need of Kafka, run on the thread that owns the consumer. Where Kafka does not answer, it says
    so to ``peer`` and answers nothing."""

    def __init__(self, thread: Callable[[], BatchConsumerThread], peer: Peer, clock_ms: Callable[[], int]) -> None:
        self._thread_of_app, self._peer, self._clock_ms = thread, peer, clock_ms

    @property
    def _thread(self) -> BatchConsumerThread:
        return self._thread_of_app()

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(self._thread.run(work))

    async def _ask(self, work: Coroutine[Any, Any, T], otherwise: T) -> T:
        try:
            with self._peer.asked(self._clock_ms):
                answer = await self._run(work)
        except KafkaError as error:
            log.warning("Kafka: %r", error)
            self._peer.outcome(error, self._clock_ms())
            return otherwise
        if answer:  # an empty one may not have needed Kafka
            self._peer.outcome(None, self._clock_ms())
        return answer

    async def caught_up(self) -> dict[int, Idle]:
        return await self._ask(self._thread.caught_up(self._clock_ms), {})

    async def log_ends(self) -> dict[int, int]:
        return await self._ask(self._thread.log_ends(), {})

    async def commit_offsets(self, offsets: dict[int, int]) -> dict[int, int] | None:
        return await self._ask(self._thread.commit_offsets(offsets), None)

    async def restart(self, partition: int, offset: int) -> None:
        await self._run(self._thread.restart(partition, offset))

    async def start_forgotten(self) -> None:
        await self._run(self._thread.start_forgotten())

    async def assigned(self) -> frozenset[int]:
        return await self._run(self._thread.assigned())

    async def topic_partition_numbers(self) -> frozenset[int]:
        return await self._run(self._thread.topic_partition_numbers())
