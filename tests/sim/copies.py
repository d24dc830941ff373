"""Clients that keep copies of the numbers, by asking what has changed: by the API's own rules of what is listed.

How its statements apply these is checked on the engine itself (``tests/contract/test_endpoint_changes.py``).
"""

from collections.abc import Generator
from dataclasses import dataclass, field

from api.changes import Listing, Pinned, listing, pinned, sees_less
from schemas.grain import MS_PER_SECOND, Grain
from tests.sim.log import START, STEP, STEPS, milliseconds
from tests.support.fake_rows import Fact
from tests.support.fake_store import FakeStore

PAGE = 3
"""Buckets a page; the window is long where a page ends."""
LAST = milliseconds(START + STEP * STEPS) // MS_PER_SECOND
"""The bucket of this instant is the last in which anything happens."""
NOTHING: frozenset[Fact] = frozenset()


def _lists(rule: Listing, start: int, computed_at: int | None) -> bool:
    """Whether a bucket with a number is listed; ``computed_at`` is that of its row, None where it has none."""
    return start >= rule.whole_from or (computed_at is not None and computed_at >= rule.since)


@dataclass
class Copy:
    """One client's copy of an organization's buckets of a grain: of each the very facts that its number counts.

    ``margin_seconds`` are added to what it asks with, which a client never does. One that ``takes_any_page`` is given
    pages that are refused to others.
    """

    org_id: str
    grain: Grain
    margin_seconds: int = 0
    takes_any_page: bool = False
    updated_since: int = 0
    buckets: dict[int, frozenset[Fact]] = field(default_factory=dict)

    def ask(self, store: FakeStore) -> Generator[None, None, None]:
        """Ask what has changed, page by page, while others act."""
        end = self.grain.floor(LAST) + self.grain.seconds
        first = position = self.grain.floor(milliseconds(START) // MS_PER_SECOND)
        seen: Pinned | None = None
        while position < end:
            as_of_ms = min(store.state.as_of_ms, store.clock_ms())
            resynced_ms = max(store.resyncs.get("", 0), store.resyncs.get(self.org_id, 0))
            since = self.updated_since + self.margin_seconds
            seen = seen or pinned(as_of_ms, store.clock_ms(), resynced_ms, since, end)
            if sees_less(as_of_ms // MS_PER_SECOND, seen) and not self.takes_any_page:
                return  # refused: the same is asked again
            rule = listing(self.grain, first, since, seen.resynced_at)
            yield
            rows = {bucket: row for (org, bucket), row in store.rollups[self.grain].items() if org == self.org_id}
            changed = []
            for start in range(position, end, self.grain.seconds):
                computed_at = rows[start].began_ms // MS_PER_SECOND if start in rows else None
                if self.grain.is_closed(start, as_of_ms) and _lists(rule, start, computed_at):
                    changed.append(start)
            for start in changed[:PAGE]:
                self.buckets[start] = rows[start].facts if start in rows else NOTHING
            position = changed[PAGE] if len(changed) > PAGE else end
            yield
        if seen is not None and seen.next_updated_since is not None:
            self.updated_since = seen.next_updated_since

    def problem(self, store: FakeStore) -> str | None:
        """Where the copy is not what is stored; None where it is the same."""
        grain = self.grain
        for start in range(grain.floor(milliseconds(START) // MS_PER_SECOND), LAST + 1, grain.seconds):
            if grain.is_closed(start, store.state.as_of_ms):
                row = store.rollups[grain].get((self.org_id, start))
                if self.buckets.get(start) != (row.facts if row else NOTHING):
                    return f"a copy of {grain} {start} of {self.org_id} differs"
        return None
