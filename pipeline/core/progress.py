"""The effects on how far partitions have come, and what they carry.

Instants are epoch milliseconds; 0 means "not yet".
"""

from dataclasses import dataclass

from pipeline.core.place import Place


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of one partition: every record below ``next_offset`` is durable.

    ``watermark_ms`` is 0 where nothing is known about event time yet.
    """

    place: Place
    next_offset: int
    watermark_ms: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """A partition whose reading begins, at ``next_offset`` if nothing is stored of it yet, else 0.

    ``partitions`` is how many its topic has.
    """

    place: Place
    next_offset: int = 0
    partitions: int = 0


@dataclass(frozen=True, slots=True)
class WriteProgress:
    """Store progress. No watermark gets ahead of ClickHouse's clock less ``lateness_ms``, whatever clock it is from."""

    progress: tuple[Progress, ...]
    lateness_ms: int = 0


@dataclass(frozen=True, slots=True)
class WriteStarts:
    """Store that reading begins: what has a start holds `as_of` from then on, also of a topic that was retired."""

    starts: tuple[Started, ...]


@dataclass(frozen=True, slots=True)
class RetireTopic:
    """Store that nobody reads a topic any more, so that it no longer holds `as_of`.

    That is so as long as all its progress is what it was, ``moved`` in one number: a worker that reads it all the same
    takes it back by that, though it began before this arrives.
    """

    topic: str
    moved: int


@dataclass(frozen=True, slots=True)
class ReadMarks:
    """Answers Marks."""
