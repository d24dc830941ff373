"""Reading a page: how many of its buckets fit is found out first, and then those are read. Blocks.

A page of what has changed is of few buckets of a long window, so that its end is not known before it is read.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from api import cursor
from api.answer import Answer, Changed, as_of_seconds
from api.cache_key import CacheKey
from api.changes import listing, pinned, sees_less
from api.cursor import Cursor
from api.errors import InvalidInput
from api.reader import Reader
from api.window import Window

FIRST_COUNTED = 100
"""Buckets that are counted at first, and then twice as many each time. A crowded page ends before many are counted, and
the largest of few groups takes six statements. Where few of them have changed, one."""


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


Count = Callable[[int, int], tuple[Mapping[int, int], int]]
"""Given a bucket's start and a number, counts the cells of so many buckets from there on: by the start of the bucket,
and where the next one begins."""


def _fit(page: Window, limit: int, most: int, count: Count) -> tuple[Window, list[int]]:
    """The first buckets of a page whose cells fit, and the cells of those that have any row, ``limit`` at most; see
    Reading.fit."""
    cells, counted, buckets = Counter[int](), page.start, FIRST_COUNTED
    while counted < page.end and cells.total() <= most and len(cells) < limit:
        found, counted = count(counted, buckets)
        cells.update(found)
        buckets *= 2
    page = Window(page.grain, page.start, counted).within(cells, most)
    return page, [cells[start] for start in sorted(cells) if start < page.end][:limit]


class PageReading:
    """A page of all buckets of a window: ``Reading``."""

    def __init__(self, reader: Reader, key: CacheKey) -> None:
        self._reader, self._key, self._question = reader, key, key.question

    def fit(self, most: int) -> tuple[Window, int]:
        page = self._question.window.page(self._key.position, self._key.limit)
        group_by = self._question.group_by
        if group_by is None:
            return page, 0

        def count(start: int, buckets: int) -> tuple[Mapping[int, int], int]:
            part = page.page(start, buckets)
            return self._cells(part, group_by), part.end

        page, cells = _fit(page, self._key.limit, most, count)
        return page, min(most, sum(cells))

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
    that is listed by the next question. Raises InvalidInput where `as_of` fell between pages, as after a restore: these
    would be too few for what the first one promised.
    """

    def __init__(self, reader: Reader, key: CacheKey) -> None:
        self._reader, self._key, self._question = reader, key, key.question
        assert self._question.updated_since is not None
        as_of_ms, now_ms, resynced_ms = reader.moment(key.org_id)
        self._as_of = as_of_seconds(as_of_ms)
        window, since = self._question.window, self._question.updated_since
        self._pinned = key.pinned or pinned(as_of_ms, now_ms, resynced_ms, since, window.end)
        if sees_less(self._as_of or 0, self._pinned):
            raise InvalidInput({"cursor": "less is aggregated than when it was made; ask again without a cursor"})
        self._rule = listing(window.grain, window.start, since, self._pinned.resynced_at)
        self._most_rows = key.limit

    def fit(self, most: int) -> tuple[Window, int]:
        window, group_by = self._question.window, self._question.group_by
        page = Window(window.grain, self._key.position, window.end)
        if group_by is None:
            return page, 0

        def count(start: int, rows: int) -> tuple[Mapping[int, int], int]:
            part = Window(page.grain, start, page.end)
            cells = self._reader.changed_cells(
                self._key.org_id, self._question.metric, part, group_by, self._rule, rows
            )
            return cells, max(cells) + page.grain.seconds if len(cells) == rows else part.end

        page, cells = _fit(page, self._key.limit, most, count)
        self._most_rows = max(1, len(cells))
        return page, min(most, sum(cells))

    def read(self, page: Window) -> Answer:
        org_id, question, limit = self._key.org_id, self._question, self._key.limit
        rows, computed_at = self._reader.changed(
            org_id, question.metric, page, question.group_by, self._rule, self._most_rows + 1
        )
        if len(computed_at) > self._most_rows:  # the page ends before the last one, which may have been written since
            page = Window(page.grain, page.start, max(computed_at))
        known_until = page.grain.floor(self._as_of or 0)  # buckets from there on have no number
        end = min(page.end, known_until)
        whole = range(max(page.start, self._rule.whole_from), end, page.grain.seconds)
        starts = sorted({*whole[: limit + 1], *(start for start in computed_at if start < end)})
        following = starts[limit] if len(starts) > limit else page.end
        next_cursor = None
        if following < min(question.window.end, known_until):
            pinned_there = Cursor(question, following, self._pinned)
            next_cursor = cursor.encode(pinned_there, org_id, self._reader.cursor_secret())
        changed = Changed(starts[:limit], computed_at, self._pinned.next_updated_since)
        return Answer(question, page, rows, None, self._as_of, limit, next_cursor, changed)
