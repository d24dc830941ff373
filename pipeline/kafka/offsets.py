"""Offsets of a log: where it begins and ends, how far it has been read, and what is committed.

All of it runs on the loop of the thread that owns the consumer. An offset is always the next one to read.
"""

import asyncio
import contextlib
import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError
from aiokafka.structs import OffsetAndMetadata

from pipeline.core.place import Place
from pipeline.core.start import Offsets
from pipeline.core.waiting import Cause
from pipeline.core.watermark import Idle
from pipeline.kafka.causes import AGAIN, NO_LEADER, unanswered_offsets
from pipeline.kafka.topic_ids import read_topic_ids

T = TypeVar("T")
Ask = Callable[[Sequence[TopicPartition]], Awaitable[dict[TopicPartition, int]]]

OFFSETS_SECONDS = 5.0
COMMIT_SECONDS = 5.0


def assigned(consumer: AIOKafkaConsumer) -> frozenset[Place]:
    """The partitions that the group has given to this consumer."""
    return frozenset(Place(*tp) for tp in consumer.assignment())


async def read_offsets(
    consumer: AIOKafkaConsumer, places: Iterable[Place]
) -> tuple[dict[Place, Offsets], dict[Place, Cause]]:
    """Read what the choice of starting points needs, and why it is not known of some partitions."""
    tps = [TopicPartition(*place) for place in sorted(places)]
    topics = {tp.topic for tp in tps}
    first, failed = await _each(consumer, tps, consumer.beginning_offsets)
    last, failed_too = await _each(consumer, list(first), consumer.end_offsets)
    causes = {Place(*tp): cause for tp, cause in {**failed, **failed_too}.items()}
    try:
        # Private, because the public committed() is one request for each partition, one after the other.
        committed = await _within(
            OFFSETS_SECONDS, "a question for commits", consumer._coordinator.fetch_committed_offsets(tps)
        )
        ids = await _within(OFFSETS_SECONDS, "a question for topics", read_topic_ids(consumer._client, topics))
    except KafkaError as error:
        cause = Cause(f"the brokers do not tell what is committed, or which topic it is ({error})", AGAIN, passes=True)
        return {}, {**causes, **{Place(*tp): cause for tp in last}}
    untold = Cause("the brokers do not tell which topic it is", AGAIN, passes=True)
    return {
        Place(*tp): Offsets(committed[tp].offset if tp in committed else None, first[tp], last[tp], *ids[tp.topic])
        for tp in last
        if tp.topic in ids
    }, {**causes, **{Place(*tp): untold for tp in last if tp.topic not in ids}}


async def log_ends(
    consumer: AIOKafkaConsumer, places: Iterable[Place], *, with_hidden: bool = False
) -> dict[Place, int]:
    """Ask for the last stable offset of each partition, or for its log end offset ``with_hidden``.

    The last stable offset is as far as a committed reader comes; behind it an open transaction hides records.
    Partitions whose leader does not tell are left out. Raises KafkaError where none does.
    """
    tps = [TopicPartition(*place) for place in sorted(places)]
    ends, _ = await _each(consumer, tps, _uncommitted_ends(consumer) if with_hidden else consumer.end_offsets)
    if tps and not ends:
        raise KafkaTimeoutError("no broker tells where the log ends")
    return {Place(*tp): offset for tp, offset in ends.items()}


def _uncommitted_ends(consumer: AIOKafkaConsumer) -> Ask:
    # Private, because a consumer asks for the end that its own isolation level sees, and has one for good.
    # Its public highwater() is as old as the last fetch: no evidence of now.
    fetcher = copy.copy(consumer._fetcher)
    fetcher._isolation_level = READ_UNCOMMITTED
    return lambda tps: fetcher.end_offsets(tps, None)


async def _each(
    consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition], ask: Ask
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, Cause]]:
    """Ask about partitions: those that have a leader all at once, then one by one if any of them fails.

    aiokafka repeats a question about several partitions as long as one of them has no answer.
    """
    failed = {tp: NO_LEADER for tp in tps if not has_leader(consumer, tp)}
    led = [tp for tp in tps if tp not in failed]
    try:
        return await _within(OFFSETS_SECONDS, "a question for offsets", ask(led)) if led else {}, failed
    except KafkaError as error:
        if len(led) == 1:
            return {}, {**failed, led[0]: unanswered_offsets(error)}
    answers = await asyncio.gather(*(_each(consumer, [tp], ask) for tp in led))
    found = {tp: offset for known, _ in answers for tp, offset in known.items()}
    return found, {**failed, **{tp: cause for _, causes in answers for tp, cause in causes.items()}}


def has_leader(consumer: AIOKafkaConsumer, tp: TopicPartition) -> bool:
    """Whether the metadata name a leader of a partition."""
    return consumer._client.cluster.leader_for_partition(tp) not in (None, -1)


def position_of(consumer: AIOKafkaConsumer, place: Place) -> int | None:
    """The fetcher's position, past control records and aborted transactions; None while there is none."""
    # Private, because the public position() waits until there is one.
    tp, subscription = TopicPartition(*place), consumer._subscription.subscription
    if subscription is None or subscription.assignment is None or tp not in subscription.assignment.tps:
        return None
    state = subscription.assignment.state_value(tp)
    return state.position if state.has_valid_position else None


async def caught_up(
    consumer: AIOKafkaConsumer,
    places: Iterable[Place],
    is_settled: Callable[[Place], bool],
    clock_ms: Callable[[], int],
) -> dict[Place, Idle]:
    """Partitions of which everything that could be read a moment ago is durable. Raises KafkaError.

    First the clock, then the log's ends, then the position: never a claim about a time that was not looked at.
    """
    boot_ms = clock_ms()
    very_ends = await log_ends(consumer, places, with_hidden=True)
    ends = very_ends
    if any((position_of(consumer, p) or 0) < end for p, end in very_ends.items()):
        ends = await log_ends(consumer, places)  # open transactions may have stopped it short
    idle = {}
    for place, end in ends.items():
        position = position_of(consumer, place)
        if position is not None and position >= end and is_settled(place):
            idle[place] = Idle(boot_ms, position, max(0, very_ends.get(place, position + 1) - position))
    return idle


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[Place, int]) -> dict[Place, int] | None:
    """Commit offsets of partitions that are still assigned, and return those. None: not now. Raises KafkaError."""
    state = consumer._subscription
    # Never while the group is being joined: the broker takes up what is sent on a connection in order, so the commit
    # would come after the join, under a generation that is no longer current, and aiokafka would take that answer for
    # a reason to join again, without end.
    if state.reassignment_in_progress or consumer._coordinator.need_rejoin(state.subscription):
        return None
    ours = {p: offset for p, offset in offsets.items() if p in assigned(consumer)}
    wanted = {TopicPartition(*p): OffsetAndMetadata(offset, "") for p, offset in ours.items()}
    return {Place(*tp): wanted[tp].offset for tp in await _commit(consumer, wanted)}


async def _commit(
    consumer: AIOKafkaConsumer, wanted: Mapping[TopicPartition, OffsetAndMetadata]
) -> set[TopicPartition]:
    """Commit, and return which partitions were. All at once, or by topic where the right to one of them is missing."""
    coordinator, assignment = consumer._coordinator, consumer._subscription.subscription.assignment
    try:
        # Private, because the public commit() repeats without end, through a join too. This is one attempt.
        await _within(COMMIT_SECONDS, "a commit", coordinator._do_commit_offsets(assignment, wanted))
    except TopicAuthorizationFailedError:
        topics, done = {tp.topic for tp in wanted}, set[TopicPartition]()
        if len(topics) == 1:
            raise
        for topic in topics:
            with contextlib.suppress(TopicAuthorizationFailedError):
                done |= await _commit(consumer, {tp: offset for tp, offset in wanted.items() if tp.topic == topic})
        return done
    return set(wanted)


async def _within(seconds: float, question: str, answer: Awaitable[T]) -> T:
    """Limit how long Kafka is waited for: aiokafka's own limit is for whole requests and longer than a session."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError as error:
        raise KafkaTimeoutError(f"no answer to {question} within {seconds:g} s") from error
