"""Windows of buckets: alignment, defaults, tiers, pages. Pure; instants are epoch seconds."""

from collections.abc import Mapping, Sequence

import msgspec

from api.errors import GranularityNotAvailable, WindowTooLarge
from api.params import Metric, Query
from schemas.grain import Grain
from schemas.instant import Instant
from schemas.tiers import Tier

MAX_BUCKETS = 10_000
MAX_COPIED_BUCKETS = 100_000
"""With `updated_since`, which lists few of them."""
PAGE_CELLS = 100_000
"""The most values of groups in a page, both sides of a comparison together: some 50 MiB while it is made."""
DEFAULT_SPAN_BUCKETS = {Grain.MINUTE: 60, Grain.HOUR: 24, Grain.DAY: 30}


# Both are structs since they are part of a cache key: msgspec hashes and compares them without running Python.
class Window(msgspec.Struct, frozen=True):
    """Whole buckets of a grain in [start, end): aligned and not empty from birth."""

    grain: Grain
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start % self.grain.seconds or self.end % self.grain.seconds or self.start >= self.end:
            raise ValueError(f"not a window of {self.grain} buckets: [{self.start}, {self.end})")

    @property
    def count(self) -> int:
        """The number of buckets."""
        return (self.end - self.start) // self.grain.seconds

    @property
    def bucket_starts(self) -> Sequence[int]:
        """Ascending, without holes."""
        return range(self.start, self.end, self.grain.seconds)

    def page(self, position: int, limit: int) -> "Window":
        """At most ``limit`` buckets from the one that starts at ``position``."""
        return Window(self.grain, position, min(self.end, position + limit * self.grain.seconds))

    def within(self, cells: Mapping[int, int], most: int) -> "Window":
        """Its first buckets, as many as have together at most ``most`` cells; never none, however many the first has.

        ``cells`` are per bucket start; a missing bucket has none.
        """
        total = 0
        for start in self.bucket_starts:
            total += cells.get(start, 0)
            if total > most and start > self.start:
                return Window(self.grain, self.start, start)
        return self

    def before(self) -> "Window":
        """The equally long window right before this one."""
        return Window(self.grain, 2 * self.start - self.end, self.start)

    def shifted(self, seconds: int) -> "Window":
        """The same buckets, that much earlier."""
        return Window(self.grain, self.start - seconds, self.end - seconds)


class Question(msgspec.Struct, frozen=True):
    """A query with every default filled in, as a cursor pins it."""

    metric: Metric
    window: Window
    group_by: str | None
    compare_to: str | None
    updated_since: int | None = None
    """Epoch seconds: only buckets that have changed since are asked for."""

    def prior(self, page: Window) -> Window:
        """The buckets that those of a page are compared to, index by index."""
        return page.shifted(self.window.end - self.window.start)


def floor(grain: Grain, instant: Instant) -> int:
    """Start of the bucket that contains the instant."""
    return grain.floor(instant.seconds)


def ceil(grain: Grain, instant: Instant) -> int:
    """The first bucket start at or after the instant."""
    return grain.ceil(instant.seconds + bool(instant.fraction))


def resolve(query: Query, tier: Tier, now: Instant) -> Question:
    """Fill in the defaults of a query without a cursor. Raises the 422 that applies, in the contract's order."""
    assert query.metric is not None
    grain = query.granularity or (Grain.HOUR if Grain.HOUR in tier.grains else Grain.DAY)
    until = query.until or now
    since = query.since or Instant(until.seconds - DEFAULT_SPAN_BUCKETS[grain] * grain.seconds, until.fraction)
    window = Window(grain, floor(grain, since), ceil(grain, until))
    check_allowed(grain, tier)
    updated_since = None if query.updated_since is None else query.updated_since.seconds
    most = MAX_BUCKETS if updated_since is None else MAX_COPIED_BUCKETS
    if window.count > most:
        raise WindowTooLarge({"bucket_count": window.count, "max_buckets": most})
    return Question(query.metric, window, query.group_by, query.compare_to, updated_since)


def check_allowed(grain: Grain, tier: Tier) -> None:
    """Refuse a granularity that the tier does not have. Raises GranularityNotAvailable."""
    if grain not in tier.grains:
        raise GranularityNotAvailable({"max_granularity": tier.finest.value})
