"""Decisions at the start: whether clocks agree, and where the reading of a partition begins."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offsets:
    """Kafka's offsets of a partition: committed (None: nothing), first and end offset of the log."""

    committed: int | None
    log_start: int
    log_end: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Progress that ClickHouse has of a partition: the offset below which all is durable, and of which incarnation."""

    next_offset: int
    incarnation: int = 0


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


def choose_start(
    committed: int | None, stored: Stored | None, log_start: int, log_end: int, accepted: Iterable[Gap] = ()
) -> Start | Gap:
    """The smaller of Kafka's committed offset and ClickHouse's; the log's beginning where either knows nothing.

    ClickHouse's state is the truth and repeating is harmless, so an emptied or restored ClickHouse is refilled.
    What was promised and is no longer in the log is a gap, never a silent jump, unless it was ``accepted``. All offsets
    are next offsets.
    """
    if stored is None:
        return Start(log_start)
    known = stored.next_offset
    if max(known, committed or 0) > log_end:
        return Start(log_start, recreated=True)
    promised = known if committed is None else min(known, committed)
    behind = min(behind_gaps(promised, accepted), log_end)  # a log may have been cut since the loss was accepted
    if behind < log_start:
        return Gap(behind, log_start)
    if committed is None and promised >= log_start:
        return Start(log_start)
    return Start(behind)


def behind_gaps(offset: int, accepted: Iterable[Gap]) -> int:
    """Leave the accepted gaps behind that an offset stands in, also one after another; returns where to go on."""
    for gap in sorted(accepted, key=lambda gap: gap.from_offset):
        if gap.from_offset <= offset < gap.to_offset:
            offset = gap.to_offset
    return offset


def clock_skew_ms(before_ms: int, theirs_ms: int, after_ms: int) -> int:
    """The least by which their clock is behind (positive) or ahead of ours (negative); 0 where it may agree.

    Theirs was read at some moment between our two readings. On a busy machine these may lie seconds apart, which says
    nothing about the clocks.

    ::

        ours    before ├──────────────┤ after
        theirs    ^ behind     ^ agrees      ^ ahead
    """
    if theirs_ms < before_ms:
        return before_ms - theirs_ms
    return min(0, after_ms - theirs_ms)
