"""Offsets of a log: where it begins and ends, how far it has been read, and what is committed.

All of it runs on the loop of the thread that owns the consumer. An offset is always the next one to read.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED
from aiokafka.errors import KafkaTimeoutError
from aiokafka.structs import OffsetAndMetadata

from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.start import Offsets
from pipeline.core.watermark import Idle

T = TypeVar("T")

OFFSETS_SECONDS = 5.0
COMMIT_SECONDS = 5.0


def assigned(consumer: AIOKafkaConsumer) -> frozenset[Place]:
    """The partitions that the group has given to this consumer."""
    return frozenset(Place(*tp) for tp in consumer.assignment())


async def read_offsets(consumer: AIOKafkaConsumer, places: Iterable[Place]) -> dict[Place, Offsets]:
    """Read what the choice of starting points needs. Raises KafkaError."""
    tps = [TopicPartition(*place) for place in sorted(places)]
    first = await _within(OFFSETS_SECONDS, "a question for offsets", consumer.beginning_offsets(tps))
    last = await _within(OFFSETS_SECONDS, "a question for offsets", consumer.end_offsets(tps))
    # Private, because the public committed() is one request for each partition, one after the other.
    committed = await consumer._coordinator.fetch_committed_offsets(tps)
    return {Place(*tp): Offsets(committed[tp].offset if tp in committed else None, first[tp], last[tp]) for tp in tps}


async def log_ends(
    consumer: AIOKafkaConsumer, places: Iterable[Place], *, with_hidden: bool = False
) -> dict[Place, int]:
    """Ask for the last stable offset of each partition, or for its log end offset ``with_hidden``. Raises KafkaError.

    The last stable offset is as far as a committed reader comes; behind it an open transaction hides records.
    """
    tps = [TopicPartition(*place) for place in sorted(places)]
    if not with_hidden:
        ends = await _within(OFFSETS_SECONDS, "a question for offsets", consumer.end_offsets(tps))
    else:
        # Private, because a consumer asks for the end that its own isolation level sees, and has one for good.
        # Its public highwater() is as old as the last fetch: no evidence of now.
        fetcher = copy.copy(consumer._fetcher)
        fetcher._isolation_level = READ_UNCOMMITTED
        ends = await _within(OFFSETS_SECONDS, "a question for offsets", fetcher.end_offsets(tps, None))
    return {Place(*tp): offset for tp, offset in ends.items()}


def position_of(consumer: AIOKafkaConsumer, place: Place) -> int | None:
    """The fetcher's position, past control records and aborted transactions; None while there is none."""
    # Private, because the public position() waits until there is one.
    tp, subscription = TopicPartition(*place), consumer._subscription.subscription
    if subscription is None or subscription.assignment is None or tp not in subscription.assignment.tps:
        return None
    state = subscription.assignment.state_value(tp)
    return state.position if state.has_valid_position else None


async def caught_up(consumer: AIOKafkaConsumer, ledger: Ledger, clock_ms: Callable[[], int]) -> dict[Place, Idle]:
    """Partitions of which everything that could be read a moment ago is durable. Raises KafkaError.

    First the clock, then the log's ends, then the position: never a claim about a time that was not looked at.
    """
    now_ms = clock_ms()
    very_ends = await log_ends(consumer, ledger.partitions, with_hidden=True)
    ends = very_ends
    if any((position_of(consumer, p) or 0) < end for p, end in very_ends.items()):
        ends = await log_ends(consumer, ledger.partitions)  # open transactions may have stopped it short
    idle = {}
    for place, end in ends.items():
        position = position_of(consumer, place)
        if position is not None and position >= end and ledger.is_settled(place):
            idle[place] = Idle(now_ms, position, hides=position < very_ends.get(place, position + 1))
    return idle


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[Place, int]) -> dict[Place, int] | None:
    """Commit offsets of partitions that are still assigned, and return those. None: not now. Raises KafkaError."""
    coordinator, state = consumer._coordinator, consumer._subscription
    # Never while the group is being joined: the broker takes up what is sent on a connection in order, so the commit
    # would come after the join, under a generation that is no longer current, and aiokafka would take that answer for
    # a reason to join again, without end.
    if state.reassignment_in_progress or coordinator.need_rejoin(state.subscription):
        return None
    ours = {p: offset for p, offset in offsets.items() if p in assigned(consumer)}
    wanted = {TopicPartition(*p): OffsetAndMetadata(offset, "") for p, offset in ours.items()}
    # Private, because the public commit() repeats without end, through a join too. This is one attempt.
    await _within(COMMIT_SECONDS, "a commit", coordinator._do_commit_offsets(state.subscription.assignment, wanted))
    return ours


async def _within(seconds: float, question: str, answer: Awaitable[T]) -> T:
    """Limit how long Kafka is waited for: aiokafka's own limit is for whole requests and longer than a session."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError as error:
        raise KafkaTimeoutError(f"no answer to {question} within {seconds:g} s") from error
