"""Clients that keep copies of the numbers, by asking what has changed: read through the API's own rules."""

from collections.abc import Generator
from dataclasses import dataclass, field

from api.changes import Pinned, listing, pinned
from schemas.grain import MS_PER_SECOND, Grain
from tests.sim.log import START, STEP, STEPS, milliseconds
from tests.support.fake_rows import Fact
from tests.support.fake_store import FakeStore

PAGE = 3
"""Buckets a page; the window is long where a page ends."""
NOTHING: frozenset[Fact] = frozenset()


@dataclass
class Copy:
    """One client's copy of an organization's buckets of a grain: of each the very facts that its number counts.

    ``margin_seconds`` are added to what it asks with, which a client never does.
    """

    org_id: str
    grain: Grain
    margin_seconds: int = 0
    updated_since: int = 0
    buckets: dict[int, frozenset[Fact]] = field(default_factory=dict)

    def ask(self, store: FakeStore) -> Generator[None, None, None]:
        """Ask what has changed, page by page, while others act."""
        last = milliseconds(START + STEP * STEPS) // MS_PER_SECOND
        first = position = self.grain.floor(milliseconds(START) // MS_PER_SECOND)
        seen: Pinned | None = None
        while position <= last:
            as_of_ms = min(store.state.as_of_ms, store.clock_ms())
            resynced_ms = max(store.resyncs.get("", 0), store.resyncs.get(self.org_id, 0))
            seen = seen or pinned(as_of_ms, store.clock_ms(), resynced_ms)
            rule = listing(self.grain, first, self.updated_since + self.margin_seconds, seen.resynced_at)
            yield
            rows = {bucket: row for (org, bucket), row in store.rollups[self.grain].items() if org == self.org_id}
            changed = []
            for start in range(position, last + 1, self.grain.seconds):
                computed_at = rows[start].began_ms // MS_PER_SECOND if start in rows else None
                if self.grain.is_closed(start, as_of_ms) and rule.lists(start, computed_at):
                    changed.append(start)
            for start in changed[:PAGE]:
                self.buckets[start] = rows[start].facts if start in rows else NOTHING
            position = changed[PAGE] if len(changed) > PAGE else last + 1
            yield
        if seen is not None and seen.next_updated_since is not None:
            self.updated_since = seen.next_updated_since

    def problem(self, store: FakeStore) -> str | None:
        """Where the copy is not what is stored; None where it is the same."""
        last, grain = milliseconds(START + STEP * STEPS) // MS_PER_SECOND, self.grain
        for start in range(grain.floor(milliseconds(START) // MS_PER_SECOND), last + 1, grain.seconds):
            if grain.is_closed(start, store.state.as_of_ms):
                row = store.rollups[grain].get((self.org_id, start))
                if self.buckets.get(start) != (row.facts if row else NOTHING):
                    return f"a copy of {grain} {start} of {self.org_id} differs"
        return None
