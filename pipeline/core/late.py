"""Late events: which rollups must be computed again, and in which spans. When: see ``pending``.

An event is late when its minute ended at or before ``closing`` as read after its fact was inserted: the roller may have
read the minute without it. Whoever inserted the fact then recomputes the bucket; until that is done its Kafka offset
stays uncommitted, so that a crash brings the event back.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipeline.core.late_keys import NO_KEYS, LateKeys
from schemas.grain import Grain

MINUTE_MS = Grain.MINUTE.milliseconds
_A_MONDAY, _WEEK = 4 * Grain.DAY.seconds, 7 * Grain.DAY.seconds
KEYS_A_STATEMENT = 200_000
"""One statement of a recompute covers about so many keys."""


def late_keys(occurred_ms: Sequence[int], org_ids: Sequence[str], floor_ms: int, closing_ms: int) -> LateKeys:
    """The keys of those events whose minute ends at or before ``closing_ms``, and begins at or after ``floor_ms``.

    Before the floor facts may be gone: what is left of them would be computed as if it were all.
    """
    minutes = np.array(occurred_ms, np.int64) // MINUTE_MS
    (late,) = np.nonzero((minutes < closing_ms // MINUTE_MS) & (minutes >= floor_ms // MINUTE_MS))
    return LateKeys.of(minutes[late], [org_ids[place] for place in late.tolist()]) if len(late) else NO_KEYS


def late_spans(grain: Grain, keys: LateKeys) -> list[tuple[int, int]]:
    """The spans of whole buckets (epoch seconds) in which to recompute keys, one after the other.

    A span holds few keys more than KEYS_A_STATEMENT, unless one bucket does, and lies in one week, as minutes are
    partitioned. Two spans may share a bucket: computing it twice does no harm.
    """
    seconds = keys.minutes * Grain.MINUTE.seconds
    weeks = np.flatnonzero(np.diff((seconds - _A_MONDAY) // _WEEK)) + 1
    edges = np.unique([*range(0, len(keys), KEYS_A_STATEMENT), *weeks.tolist(), len(keys)]).tolist()
    spans = [
        (grain.floor(int(seconds[first])), grain.floor(int(seconds[following - 1])) + grain.seconds)
        for first, following in pairwise(edges)
    ]
    return list(dict.fromkeys(spans))
