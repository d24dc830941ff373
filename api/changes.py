"""Buckets that have changed since a client last asked, so that it can keep a copy up to date. Pure.

A client asks with ``updated_since``, and next time with the ``next_updated_since`` of the answer. Of the buckets that
have a number, those are listed whose number it may not have::

    window  ├──────────────────────────────┼──────────────┤ as_of
             a bucket here is listed if its  every bucket
             row was computed since          is listed
                                           since

``since`` lies MARGIN_SECONDS before what was asked for. A row has the time at which its statement *began*: it is seen
only when that ends, on a cluster when a quorum has it, and servers' clocks differ. The longest insert takes
LONGEST_INSERT_SECONDS, and one that took longer is repeated (``pipeline/clickhouse/store.py``); the rest is for clocks.

What changes without a row being written is told by a *resync*: an erasure, a restored backup, a clock that fell. From
then on every bucket is listed. So it is for a client that asks since later than now: its clock is its own, or ours was
ahead, and since when it has everything is not known.
"""

from dataclasses import dataclass

import msgspec

from schemas.grain import MS_PER_SECOND, Grain
from schemas.limits import SURELY_SEEN_SECONDS

MARGIN_SECONDS = SURELY_SEEN_SECONDS


class Pinned(msgspec.Struct, frozen=True):
    """Instants that the first page of a question saw and all pages keep to, in epoch seconds.

    ``resynced_at`` is the newest resync, 0 before the first. ``next_updated_since`` is what to ask with next time, None
    before the first watermark.
    """

    resynced_at: int
    next_updated_since: int | None


def pinned(as_of_ms: int, now_ms: int, resynced_ms: int, updated_since: int, end: int) -> Pinned:
    """Pin three instants that were read in one statement, before any number was, of a window up to ``end``.

    Of what ends later the copy has nothing, and the next window may end there.
    """
    now, resynced_at = now_ms // MS_PER_SECOND, resynced_ms // MS_PER_SECOND
    if updated_since > now + MARGIN_SECONDS:
        resynced_at = updated_since
    return Pinned(resynced_at, min(as_of_ms // MS_PER_SECOND, now, end) if as_of_ms else None)


def sees_less(as_of: int, seen: Pinned) -> bool:
    """Whether at a page so much less is aggregated than the first one promised that its numbers would be too few."""
    return as_of < (seen.next_updated_since or 0) - MARGIN_SECONDS


@dataclass(frozen=True, slots=True)
class Listing:
    """The rule by which buckets with a number are listed, in epoch seconds: those whose row was computed at or after
    ``since``, and all that start at or after ``whole_from``, with or without a row."""

    since: int
    whole_from: int


def listing(grain: Grain, first: int, updated_since: int, resynced_at: int) -> Listing:
    """The rule of a question about buckets from ``first`` on."""
    since = updated_since - MARGIN_SECONDS
    if resynced_at >= since:
        return Listing(since, first)
    return Listing(since, grain.floor(since))  # the first that ends after it
