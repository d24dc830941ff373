"""Answers kept for a moment, so that a repeated question is not read again. Pure: time is an argument.

    reading begins        the same question again            and again
    |─────────────────────────|──────────────── REUSE_SECONDS ──|──────►
    0                     given as kept                     read anew

An answer's age is counted from before it was read, so that a correction shows after REUSE_SECONDS at the latest,
however long the reading took. What may be asked at all (key, scope, tier) is decided for every request, before this.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.responses import Response

from api.window import Request
from schemas.tiers import Tier

REUSE_SECONDS = 1.0
MAX_KEPT_BYTES = 32 * 1024 * 1024
ENTRY_BYTES = 6 * 1024
"""What an entry costs in memory beside its body, at most, its responses for two tiers included."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that decides the bytes of an answer, resolved; above all whose numbers they are."""

    org_id: str
    request: Request
    position: int
    limit: int
    media_type: str
    is_gzipped: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer as it is sent. ``headers`` are those that depend on nothing but the question and the data.

    ``responses`` keeps what was made of it, by the caller's tier, for whoever asks again. They are never changed.
    """

    body: bytes
    headers: dict[str, str]
    etag: str
    buckets: int
    as_of: int | None
    responses: dict[Tier, Response] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size_bytes(self) -> int:
        """What keeping it costs."""
        return len(self.body) + ENTRY_BYTES


class Answers:
    """Answers by question, none older than ``max_age_seconds``, together never more than ``max_bytes``.

    Times are monotonic seconds. Entries stand in the order in which they were kept: the oldest go first.
    """

    def __init__(self, max_age_seconds: float = REUSE_SECONDS, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_age_seconds, self._max_bytes = max_age_seconds, max_bytes
        self._kept: OrderedDict[Asked, tuple[float, Ready]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def is_fresh(self, read_at: float, now: float) -> bool:
        """Whether what has been read from ``read_at`` on may still be given."""
        return now - read_at < self._max_age_seconds

    def find(self, asked: Asked, now: float) -> Ready | None:
        """The answer to a question, where one is kept that is fresh."""
        read_at, ready = self._kept.get(asked, (None, None))
        return ready if read_at is not None and self.is_fresh(read_at, now) else None

    def keep(self, asked: Asked, ready: Ready, read_at: float, now: float) -> None:
        """Keep an answer that was read from ``read_at`` on, and let go of what is too old or too much."""
        if self.is_fresh(read_at, now):
            self._drop(asked)
            self._kept[asked] = (read_at, ready)
            self.size_bytes += ready.size_bytes
        while self._kept and (self.size_bytes > self._max_bytes or not self.is_fresh(self._oldest_read_at, now)):
            self._drop(next(iter(self._kept)))

    @property
    def _oldest_read_at(self) -> float:
        return next(iter(self._kept.values()))[0]

    def _drop(self, asked: Asked) -> None:
        gone = self._kept.pop(asked, None)
        if gone is not None:
            self.size_bytes -= gone[1].size_bytes
