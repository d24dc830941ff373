"""Records as they come, and what they become: rows of facts and dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from typing import Final, NamedTuple, Protocol

from pipeline.core.exact import LATEST_MS
from pipeline.core.place import Place
from schemas.message_event import DeadLetterReason

NO_TIMES: Final = (None, -1)
"""Timestamps by which a record says that it has none: in the oldest format there is no field for it."""


RawHeaders = Sequence[tuple[str | bytes, bytes | None]]
"""Headers as a record has them."""
Headers = Mapping[bytes, bytes | None]
"""Headers of a record by name; of one that comes twice, the last."""


def headers_of(headers: RawHeaders) -> Headers:
    """Headers by name, from the pairs that a record has."""
    return dict(pairs_of(headers))


def pairs_of(headers: RawHeaders) -> tuple[tuple[bytes, bytes | None], ...]:
    """Headers with names in bytes, in their order."""
    return tuple((name.encode() if isinstance(name, str) else name, content) for name, content in headers)


def time_of(timestamp: int | None, otherwise_ms: int) -> int:
    """A record's own time in epoch milliseconds, or ``otherwise_ms`` where it has none.

    The timestamp is a number that anybody may set, so one outside the years 1970 to 2100 is no time: the tables could
    not hold it. Hot, once per event.
    """
    return otherwise_ms if timestamp is None or not 0 <= timestamp < LATEST_MS else timestamp


class RawRecord(Protocol):
    """A Kafka record, as aiokafka's parser makes it, or ours. ``timestamp`` is any number, or None: see ``time_of``.

    Names of headers are bytes that nobody checks; aiokafka's parser takes only UTF-8, and decodes it.
    """

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> RawHeaders: ...


class Told(NamedTuple):
    """The event of a record that is refused, as far as it can be told: '' and None for what cannot."""

    org_id: str = ""
    event_id: str = ""
    type: str = ""
    occurred_ms: int | None = None


@dataclass(slots=True)
class Columns:
    """Rows of facts as parallel lists. ``cost_micros`` is millionths of a cent; ``error_code`` is '' for none.

    ``record_ms`` is the record's own time, or ``occurred_ms`` where it has none: the same whenever it is read.
    """

    org_id: list[str] = field(default_factory=list)
    event_id: list[str] = field(default_factory=list)
    type: list[int] = field(default_factory=list)
    channel: list[str] = field(default_factory=list)
    error_code: list[str] = field(default_factory=list)
    cost_micros: list[int] = field(default_factory=list)
    occurred_ms: list[int] = field(default_factory=list)
    record_ms: list[int] = field(default_factory=list)
    place: list[Place] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.event_id)

    def only(self, keep: Sequence[bool]) -> "Columns":
        """The rows at which ``keep`` is true."""
        return Columns(**{f.name: list(compress(getattr(self, f.name), keep)) for f in fields(self)})


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that is not a fact: where it is, why, and its original bytes.

    ``org_id``, ``event_id`` and ``type`` are '' and ``occurred_ms`` is None where the record does not tell.
    ``record_ms`` is the record's own time; without one ``occurred_ms``, and 0 where that is None.
    """

    place: Place
    offset: int
    reason: DeadLetterReason
    detail: str
    record_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]
    org_id: str = ""
    event_id: str = ""
    type: str = ""
    occurred_ms: int | None = None
