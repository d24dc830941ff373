"""Event time: how far a partition, and the whole topic, has come.

::

    event time ────────────────────────────────────────────────────────────► now
                 buckets are closed     │ still open: lateness │ not read yet
                                  watermark              candidate

All instants are epoch milliseconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.core.place import Place
from schemas.grain import MS_PER_SECOND, Grain

RETENTION_MARGIN_SECONDS = Grain.HOUR.seconds


@dataclass(frozen=True, slots=True)
class Idle:
    """A partition that is caught up: at ``boot_ms`` nothing that could be read was unread or undurable.

    That is of the clock that only runs, since the wall clock may be set before anything is claimed by this. ``hidden``
    counts the offsets behind it that an open transaction hides: then no watermark may be claimed for that time.
    """

    boot_ms: int
    position: int
    hidden: int = 0


def reading_status(next_offset: int, end: int, hidden: int) -> str:
    """The state of a partition in words: ``end`` is as far as can be read, and ``hidden`` offsets lie behind that."""
    if next_offset < end:
        return "reading"
    return f"{hidden} hidden by an open transaction" if hidden else "caught up"


def partition_watermark(candidate_ms: int, now_ms: int, lateness_ms: int) -> int:
    """Watermark of a partition whose durable records reach ``candidate_ms`` (or *now* when it is caught up).

    Never ahead of the clock, so that a producer's fast clock cannot close a bucket; never below 0.
    """
    return max(0, min(candidate_ms, now_ms) - lateness_ms)


def frontier(watermarks: Mapping[Place, int], partitions: Iterable[Place]) -> int | None:
    """The instant up to which the whole topic has been taken, or None where a partition has no watermark.

    A partition without one (just added, never read) holds the frontier where it is.
    """
    marks = [watermarks.get(partition, 0) for partition in partitions]
    return min(marks) if marks and all(marks) else None


def holding(watermarks: Mapping[Place, int], partitions: Iterable[Place]) -> tuple[Place, ...]:
    """The partitions that hold the frontier where it is: those without a watermark, or else with the lowest."""
    marks = {partition: watermarks.get(partition, 0) for partition in partitions}
    return tuple(p for p, mark in marks.items() if mark == min(marks.values()))


def retention_floor(now_ms: int, retention_days: int) -> int:
    """The earliest instant whose facts are surely complete under a retention of that many days.

    Facts are dropped by whole days at the latest ``retention_days`` after them, so the day that is touched by
    now − retention is incomplete; the margin covers a clock that differs from the engine's.
    """
    day_ms = Grain.DAY.milliseconds
    touched = now_ms + RETENTION_MARGIN_SECONDS * MS_PER_SECOND - retention_days * day_ms
    return (touched // day_ms + 1) * day_ms
