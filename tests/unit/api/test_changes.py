"""Which buckets are listed as changed: all whose number a client may not have, and what it asks with next time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.changes import MARGIN_SECONDS, Listing, listing, pinned
from schemas.grain import Grain
from schemas.limits import LONGEST_INSERT_SECONDS

DAY = 86_400
S = 100 * DAY + 12 * 3600


def rule(grain: Grain = Grain.HOUR, resynced_at: int = 0) -> Listing:
    return listing(grain, 0, S, resynced_at)


def test_the_margin_is_longer_than_the_longest_insert_with_minutes_to_spare_for_clocks() -> None:
    assert MARGIN_SECONDS >= LONGEST_INSERT_SECONDS + 5 * 60


def test_a_row_is_listed_that_was_computed_since_or_shortly_before() -> None:
    start = S - 30 * DAY
    computed = [S + 1, S, S - MARGIN_SECONDS, S - MARGIN_SECONDS - 1]
    assert [at >= rule().since for at in computed] == [True, True, True, False]
    assert start < rule().whole_from


@given(st.sampled_from(Grain), st.integers(-5, 5))
def test_a_bucket_that_ends_since_is_listed_whatever_its_row(grain: Grain, n: int) -> None:
    """It may have had no number before, and may have none in its row: then it is 0."""
    start = grain.floor(S - MARGIN_SECONDS) + n * grain.seconds
    ends_since = start + grain.seconds > S - MARGIN_SECONDS
    assert (start >= rule(grain).whole_from) is ends_since


@pytest.mark.parametrize(("resynced_at", "all_listed"), [(S - MARGIN_SECONDS, True), (S - MARGIN_SECONDS - 1, False)])
def test_after_a_resync_everything_is_listed(resynced_at: int, all_listed: bool) -> None:
    assert (rule(resynced_at=resynced_at).whole_from == 0) is all_listed


@pytest.mark.parametrize(
    ("as_of_ms", "now_ms", "end", "following"),
    [(0, 9_999, 9, None), (5_999, 9_999, 9, 5), (9_999, 5_999, 9, 5), (5_000, 5_000, 5, 5), (9_999, 9_999, 3, 3)],
)
def test_next_time_is_asked_since_the_earliest_of_now_and_as_of_and_the_windows_end(
    as_of_ms: int, now_ms: int, end: int, following: int | None
) -> None:
    """What is not aggregated yet has no number in the copy, however long ago it ended; nor has what ends later."""
    assert pinned(as_of_ms, now_ms, 0, 0, end).next_updated_since == following


@pytest.mark.parametrize(("ahead", "all_listed"), [(MARGIN_SECONDS, False), (MARGIN_SECONDS + 1, True)])
def test_whoever_asks_since_later_than_now_gets_everything(ahead: int, all_listed: bool) -> None:
    """Since when such a client has everything is not known. Clocks of servers may differ by a little."""
    resynced_at = pinned(S * 1000, (S - ahead) * 1000, 1000, S, S).resynced_at
    assert (listing(Grain.HOUR, 0, S, resynced_at).whole_from == 0) is all_listed
