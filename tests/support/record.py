"""A Kafka record without Kafka."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

NOW_MS = int(datetime(2026, 5, 5, 12, tzinfo=UTC).timestamp() * 1000)


@dataclass(frozen=True)
class Record:
    """A record as aiokafka's parser makes it; ``timestamp`` is epoch milliseconds."""

    offset: int
    value: bytes | None
    timestamp: int | None = NOW_MS
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
