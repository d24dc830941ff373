"""Causes for which a partition cannot go on, in words, with what helps."""

import logging

from aiokafka import TopicPartition, errors

from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.core.waiting import Cause, Wait, Waiting
from pipeline.kafka.batches import BatchRefused

log = logging.getLogger(__name__)

AGAIN = "it is asked again until it does"
NO_LEADER = Cause("no broker is its leader", "bring its brokers back; it goes on by itself then", passes=True)
OUT_OF_RANGE = Cause("its log does not have what was to be read", "its start is looked up anew", passes=True)
MOVED = frozenset({
    errors.NotLeaderForPartitionError, errors.UnknownTopicOrPartitionError, errors.LeaderNotAvailableError,
    errors.ReplicaNotAvailableError,
})  # fmt: skip
"""Errors of a broker that is not, or no longer, the one to ask."""


def note_wait(waiting: Waiting, place: Place, offset: int | None, cause: Cause, now: float) -> Wait:
    """Note that a partition waits, and log it while that is news."""
    wait = waiting.note(place, offset, cause, now)
    if wait.is_news:
        log.warning("%s", wait.sentence(place, now))
    return wait


def unanswered_fetch(node_id: int, error: errors.KafkaError) -> Cause:
    """A leader that does not answer a fetch."""
    return Cause(f"broker {node_id}, its leader, does not answer ({type(error).__name__})", AGAIN, passes=True)


def unanswered_offsets(error: errors.KafkaError) -> Cause:
    """A leader that does not tell where its log begins or ends."""
    return Cause(f"its leader does not tell its offsets ({error})", AGAIN, passes=bool(error.retriable))


def broker_error(error: type[errors.KafkaError], tp: TopicPartition) -> Cause:
    """A broker's answer to a fetch that is an error."""
    if error is errors.TopicAuthorizationFailedError:
        return Cause("the broker refuses the right to read it", f"grant READ on the topic {tp.topic}")
    if error in MOVED:
        return Cause(f"no broker is its leader ({error.__name__})", "bring its brokers back", passes=True)
    return Cause(
        f"the broker cannot read it ({error.__name__}: {error.description})",
        "look at the broker's log; what is lost there for good is accepted with `msgmetrics skip`",
        passes=bool(error.retriable),
    )


def bad_batch(place: Place, position: int, refused: BatchRefused) -> Cause:
    """The cause of a batch that cannot be read, with how to accept its loss."""
    last = "LAST" if refused.next_offset is None else refused.next_offset - 1
    accept = f"accept the loss with `msgmetrics skip {place.at(position)}-{last}`"
    return Cause(f"the batch there cannot be read: {refused}", f"a new leader may have a better copy; else {accept}")


def gap_cause(place: Place, gap: Gap) -> Cause:
    """The cause of a gap, with how to accept the loss."""
    return Cause(
        f"the offsets {gap.from_offset} to {gap.to_offset - 1} were deleted from the log before they were read",
        f"restore them, or accept the loss with `msgmetrics skip {place.at(gap.from_offset)}-{gap.to_offset - 1}`",
    )


def deleted(place: Place) -> Cause:
    """Records that a replay was to read, and that its topic's retention has deleted meanwhile."""
    return Cause(
        "the records there were deleted from the log, by its retention perhaps",
        f"begin the replay anew; what {place.topic} no longer has cannot be replayed",
    )
