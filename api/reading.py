"""Reading a page: how many of its buckets fit is found out first, and then those are read. Blocks.

A page of what has changed is of few buckets of a long window, so that its end is not known before it is read.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from api import cursor
from api.answer import Answer, Changed, as_of_seconds
from api.cache_key import CacheKey
from api.changes import listing, pinned
from api.cursor import Cursor
from api.reader import Reader
from api.window import Window

FIRST_COUNTED = 100
"""Buckets that are counted at first, and then twice as many each time. A crowded page ends before many are counted, and
the largest of few groups takes six statements."""


class Reading(Protocol):
    """A page that is being read. Both methods block, and raise Unavailable."""

    def fit(self, most: int) -> tuple[Window, int]:
        """The buckets of the page, and the cells they have, counted up to ``most``; only a single bucket may have more.

        A cell is the value of a group in a bucket, on either side of a comparison. What is written between counting and
        reading is read as well, and a bucket always as a whole. Totals have no cells.
        """

    def read(self, page: Window) -> Answer:
        """Read the buckets that fit."""


def begin(reader: Reader, key: CacheKey) -> Reading:
    """Begin to read the answer of a key. Blocks; raises Unavailable."""
    return PageReading(reader, key) if key.question.updated_since is None else ChangesReading(reader, key)


def _fit(page: Window, limit: int, most: int, count: Callable[[Window], Mapping[int, int]]) -> tuple[Window, int]:
    """The first buckets of a page whose cells fit, at most about ``limit`` that have any; see Reading.fit."""
    cells, counted, buckets = Counter[int](), page.start, FIRST_COUNTED
    while counted < page.end and cells.total() <= most and len(cells) <= limit:
        part = page.page(counted, buckets)
        cells.update(count(part))
        counted, buckets = part.end, 2 * buckets
    page = Window(page.grain, page.start, counted).within(cells, most)
    return page, min(most, sum(cells[start] for start in page.bucket_starts))


class PageReading:
    """A page of all buckets of a window: ``Reading``."""

    def __init__(self, reader: Reader, key: CacheKey) -> None:
        self._reader, self._key, self._question = reader, key, key.question

    def fit(self, most: int) -> tuple[Window, int]:
        page = self._question.window.page(self._key.position, self._key.limit)
        group_by = self._question.group_by
        if group_by is None:
            return page, 0
        return _fit(page, self._key.limit, most, lambda part: self._cells(part, group_by))

    def _cells(self, part: Window, group_by: str) -> Mapping[int, int]:
        """Cells by the start of the bucket."""
        org_id, question = self._key.org_id, self._question
        cells = Counter(self._reader.cells(org_id, question.metric, part, group_by))
        if question.compare_to:
            prior = question.prior(part)
            for start, count in self._reader.cells(org_id, question.metric, prior, group_by).items():
                cells[start - prior.start + part.start] += count
        return cells

    def read(self, page: Window) -> Answer:
        reader, org_id, question = self._reader, self._key.org_id, self._question
        as_of = as_of_seconds(reader.as_of_ms())  # before the data: a reader who sees it sees everything below it
        rows = reader.values(org_id, question.metric, page, question.group_by)
        prior = None
        if question.compare_to:
            prior = reader.values(org_id, question.metric, question.prior(page), question.group_by)
        following = None
        if page.end < question.window.end:
            following = cursor.encode(Cursor(question, page.end), org_id, reader.cursor_secret())
        return Answer(question, page, rows, prior, as_of, self._key.limit, following)


class ChangesReading:
    """A page of the buckets that have changed: ``Reading``.

    `as_of`, the time and the resyncs are read before any number, the latter two once for all pages: what changes after
    that is listed by the next question.
    """

    def __init__(self, reader: Reader, key: CacheKey) -> None:
        self._reader, self._key, self._question = reader, key, key.question
        assert self._question.updated_since is not None
        as_of_ms, now_ms, resynced_ms = reader.moment(key.org_id)
        self._as_of = as_of_seconds(as_of_ms)
        self._pinned = key.pinned or pinned(as_of_ms, now_ms, resynced_ms)
        window, since = self._question.window, self._question.updated_since
        self._rule = listing(window.grain, window.start, since, self._pinned.resynced_at)

    def fit(self, most: int) -> tuple[Window, int]:
        window, group_by = self._question.window, self._question.group_by
        page = Window(window.grain, self._key.position, window.end)
        if group_by is None:
            return page, 0
        return _fit(page, self._key.limit, most, lambda part: self._cells(part, group_by))

    def _cells(self, part: Window, group_by: str) -> Mapping[int, int]:
        """Cells by the start of the bucket."""
        org_id, metric, limit = self._key.org_id, self._question.metric, self._key.limit
        return self._reader.changed_cells(org_id, metric, part, group_by, self._rule, limit + 1)

    def read(self, page: Window) -> Answer:
        org_id, question, limit = self._key.org_id, self._question, self._key.limit
        most = limit + 1  # one more, where the next page begins
        rows, computed_at = self._reader.changed(org_id, question.metric, page, question.group_by, self._rule, most)
        closed = page.grain.floor(self._as_of or 0)  # buckets before this have a number
        whole = range(max(page.start, self._rule.whole_from), min(page.end, closed), page.grain.seconds)
        starts = sorted({*whole[:most], *(start for start in computed_at if start < closed)})
        following = starts[limit] if len(starts) > limit else page.end
        next_cursor = None
        if following < min(question.window.end, closed):
            pinned_there = Cursor(question, following, self._pinned)
            next_cursor = cursor.encode(pinned_there, org_id, self._reader.cursor_secret())
        changed = Changed(starts[:limit], computed_at, self._pinned.next_updated_since)
        return Answer(question, page, rows, None, self._as_of, limit, next_cursor, changed)
