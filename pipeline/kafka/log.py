"""Kafka as the worker's loops see it: answers instead of errors, from the thread that owns the consumer."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from aiokafka.errors import KafkaConnectionError, KafkaError

from pipeline.core.place import Place
from pipeline.core.watermark import Idle
from pipeline.kafka import offsets
from pipeline.kafka.consumer import BatchConsumerThread
from pipeline.kafka.topics import existing
from pipeline.peer import Peer

log = logging.getLogger(__name__)
T = TypeVar("T")

OTHERS_SECONDS = 2.0
"""A question about partitions that somebody else reads, for readiness alone, is given up after so long."""


class KafkaLog:
    """The log of the topics. Where Kafka does not answer, ``peer`` is told and the answer is empty, or None."""

    def __init__(
        self,
        thread: BatchConsumerThread,
        peer: Peer,
        clock_ms: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._thread, self._peer, self._clock_ms, self._monotonic = thread, peer, clock_ms, monotonic
        self._ledger, self._waiting = thread.hooks.ledger, thread.hooks.waiting

    async def caught_up(self) -> dict[Place, Idle]:
        """Partitions of which everything that could be read a moment ago is durable."""
        asked = self._ledger.partitions - self._waiting.places  # one without a leader would hold up the answer
        return await self._ask(
            offsets.caught_up(self._thread.kafka, asked, self._ledger.is_settled, self._clock_ms), {}
        )

    async def log_ends(self) -> dict[Place, int]:
        """The last stable offset of every partition that is being read: up to there is something to read."""
        asked = self._ledger.partitions - self._waiting.unanswered
        return await self._ask(offsets.log_ends(self._thread.kafka, asked), {})

    async def ends_of(self, places: Iterable[Place]) -> dict[Place, int]:
        """The last stable offset of any partitions, of others' too; of those whose leader tells it soon.

        That none does is no trouble of this worker's: their topic may be gone.
        """
        asked = set(places) - self._waiting.unanswered
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(OTHERS_SECONDS):
                return await self._run(offsets.log_ends(self._thread.kafka, asked))
        return {}

    async def commit_offsets(self, next_offsets: dict[Place, int]) -> dict[Place, int] | None:
        """Commit what is still assigned, and return that. None: not now."""
        return await self._ask(offsets.commit(self._thread.kafka, next_offsets), None)

    async def restart(self, place: Place, offset: int) -> None:
        """Read a partition again from an offset."""
        await self._call(self._thread.starting.restart, self._thread.kafka, place, offset, self._monotonic())

    async def start_forgotten(self) -> None:
        """Start what has been assigned for long and is not read."""
        await self._call(self._thread.starting.start_forgotten, self._thread.kafka, self._monotonic())

    async def waiting(self) -> Mapping[Place, str]:
        """Partitions that cannot go on, each with a sentence on why and what helps."""
        await self._call(self._thread.fetching.note_leaders, self._thread.kafka)
        ours = self._ledger.partitions
        if ours and ours <= self._waiting.unanswered:  # nobody asks it anything else then
            self._peer.outcome(KafkaConnectionError("no broker answers for any partition"), self._clock_ms())
        return self._waiting.sentences(self._monotonic())

    async def assigned(self) -> frozenset[Place]:
        """The partitions that the group has given to this worker."""
        return await self._call(offsets.assigned, self._thread.kafka)

    async def existing(self, topics: Iterable[str]) -> dict[str, frozenset[Place]]:
        """The partitions of each topic by the metadata; none where it is missing there, for whatever reason."""
        return await self._run(existing(self._thread.kafka, topics))

    async def _ask(self, question: Coroutine[Any, Any, T], otherwise: T) -> T:
        try:
            with self._peer.asked(self._clock_ms):
                answer = await self._run(question)
        except KafkaError as error:
            log.warning("Kafka: %r", error)
            self._peer.outcome(error, self._clock_ms())
            return otherwise
        if answer:  # an empty one may not have needed Kafka
            self._peer.outcome(None, self._clock_ms())
        return answer

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function that does not wait on the thread's loop."""

        async def call() -> T:
            return function(*arguments)

        return await self._run(call())

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(self._thread.run(work))
