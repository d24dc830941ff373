"""The decision at the start of a partition: where its reading begins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.core.place import Place


@dataclass(frozen=True, slots=True)
class Offsets:
    """Kafka's offsets of a partition: committed (None: nothing), first and end offset of the log.

    ``topic_id`` is what Kafka knows the topic by, '' where it does not tell; ``partitions`` is how many that has.
    """

    committed: int | None
    log_start: int
    log_end: int
    topic_id: str = ""
    partitions: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """Progress that ClickHouse has of a partition: the offset below which all is durable, and of which incarnation.

    ``topic_id`` is the topic's at the time, '' where it was not known.
    """

    next_offset: int
    incarnation: int = 0
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Read from ``offset``. ``recreated`` says that the stored progress belongs to a topic that no longer exists."""

    offset: int
    recreated: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Records [from_offset, to_offset) that cannot be read: deleted before they were, or beyond repair."""

    from_offset: int
    to_offset: int


def choose_start(kafka: Offsets, stored: Stored | None, accepted: Iterable[Gap] = ()) -> Start | Gap:
    """The smaller of Kafka's committed offset and ClickHouse's; the log's beginning where either knows nothing.

    ClickHouse's state is the truth and repeating is harmless, so an emptied or restored ClickHouse is refilled.
    What was promised and is no longer in the log is a gap, never a silent jump, unless it was ``accepted``. A topic
    that was made anew is read from its beginning: it has another id, or it ends below what was promised. All offsets
    are next offsets.
    """
    if stored is None:
        return Start(kafka.log_start)
    known, committed = stored.next_offset, kafka.committed
    is_another = "" not in (kafka.topic_id, stored.topic_id) and kafka.topic_id != stored.topic_id
    if is_another or max(known, committed or 0) > kafka.log_end:
        return Start(kafka.log_start, recreated=True)
    promised = known if committed is None else min(known, committed)
    behind = min(behind_gaps(promised, accepted), kafka.log_end)  # a log may have been cut since the loss was accepted
    if behind < kafka.log_start:
        return Gap(behind, kafka.log_start)
    if committed is None and promised >= kafka.log_start:
        return Start(kafka.log_start)
    return Start(behind)


def incarnation_of(place: Place, topic_id: str, start: Start, stored: Mapping[Place, Stored]) -> int:
    """The incarnation that a partition is read in from its start on, by what is ``stored`` of all partitions.

    Where Kafka gives ids it is one above all of another id: so the partitions of a topic that was made anew can be told
    from those of the old one that nobody has begun since, or that it does not have any more.
    """
    known = stored.get(place)
    if known is not None and not start.recreated:
        return known.incarnation
    least = 0 if known is None else known.incarnation + 1
    lives = [s for p, s in stored.items() if p.topic == place.topic and topic_id and s.topic_id]
    same = [s.incarnation for s in lives if s.topic_id == topic_id]
    return max([least, *(same or [s.incarnation + 1 for s in lives])])


def behind_gaps(offset: int, accepted: Iterable[Gap]) -> int:
    """Leave the accepted gaps behind that an offset stands in, also one after another; returns where to go on."""
    for gap in sorted(accepted, key=lambda gap: gap.from_offset):
        if gap.from_offset <= offset < gap.to_offset:
            offset = gap.to_offset
    return offset
