"""Reading a page: how many of its buckets fit is found out first, and then those are read. Blocks."""

from collections import Counter
from collections.abc import Mapping

from api import cursor
from api.answer import Answer, as_of_seconds
from api.cache_key import CacheKey
from api.cursor import Cursor
from api.reader import Reader
from api.window import Window

FIRST_COUNTED = 100
"""Buckets that are counted at first, and then twice as many each time. A crowded page ends before many are counted, and
the largest of few groups takes six statements."""


def fit_page(reader: Reader, key: CacheKey, most: int) -> tuple[Window, int]:
    """The buckets of a page, and the cells they have, counted up to ``most``; only a single bucket may have more.

    A cell is the value of a group in a bucket, on either side of a comparison. What is written between counting and
    reading is read as well, and a bucket always as a whole. Totals have no cells. Raises Unavailable.
    """
    page = key.question.window.page(key.position, key.limit)
    if key.question.group_by is None:
        return page, 0
    cells, counted, count = Counter[int](), page.start, FIRST_COUNTED
    while counted < page.end and cells.total() <= most:
        part = page.page(counted, count)
        cells.update(_cells(reader, key, key.question.group_by, part))
        counted, count = part.end, 2 * count
    page = page.within(cells, most)
    return page, min(most, sum(cells[start] for start in page.bucket_starts))


def _cells(reader: Reader, key: CacheKey, group_by: str, part: Window) -> Mapping[int, int]:
    """Cells by the start of the bucket."""
    question = key.question
    cells = Counter(reader.cells(key.org_id, question.metric, part, group_by))
    if question.compare_to:
        prior = question.prior(part)
        for start, count in reader.cells(key.org_id, question.metric, prior, group_by).items():
            cells[start - prior.start + part.start] += count
    return cells


def read_page(reader: Reader, key: CacheKey, page: Window) -> Answer:
    """Read an answer from ClickHouse; blocks. Raises Unavailable."""
    question = key.question
    as_of = as_of_seconds(reader.as_of_ms())  # before the data: a reader who sees it sees everything below it
    rows = reader.values(key.org_id, question.metric, page, question.group_by)
    prior = None
    if question.compare_to:
        prior = reader.values(key.org_id, question.metric, question.prior(page), question.group_by)
    following = None
    if page.end < question.window.end:
        following = cursor.encode(Cursor(question, page.end), key.org_id, reader.cursor_secret())
    return Answer(question, page, rows, prior, as_of, key.limit, following)
