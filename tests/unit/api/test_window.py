"""Windows: widened to whole buckets, bounded by tier and size, and paged without holes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import GranularityNotAvailable, WindowTooLarge
from api.params import parse_query
from api.window import Question, Window, resolve
from schemas.grain import Grain
from schemas.instant import Instant, second
from schemas.tiers import Tier
from tests.support.windows import GRAINS, windows

NOW = Instant(1_778_000_000)


def question(query: str, tier: Tier = Tier.SCALE) -> Question:
    return resolve(parse_query(query.encode(), NOW), tier, NOW)


def test_a_window_is_widened_to_whole_buckets() -> None:
    query = "metric=sent&granularity=hour&from=2026-05-05T00:59:59.9Z&to=2026-05-05T02:00:00.0000001Z"
    window = question(query).window
    assert (second(window.start), second(window.end)) == ("2026-05-05T00:00:00Z", "2026-05-05T03:00:00Z")


@pytest.mark.parametrize(
    ("tier", "granularity", "grain", "count"),
    [
        (Tier.SCALE, "", Grain.HOUR, 25),
        (Tier.GROWTH, "", Grain.HOUR, 25),
        (Tier.STARTER, "", Grain.DAY, 31),
        (Tier.PAYG, "", Grain.DAY, 31),
        (Tier.SCALE, "&granularity=minute", Grain.MINUTE, 61),
    ],
)
def test_defaults_depend_on_tier_and_granularity(tier: Tier, granularity: str, grain: Grain, count: int) -> None:
    window = question("metric=sent" + granularity, tier).window
    assert (window.grain, window.count) == (grain, count)


@pytest.mark.parametrize(("tier", "grain"), [(Tier.PAYG, "hour"), (Tier.STARTER, "minute"), (Tier.GROWTH, "minute")])
def test_a_finer_granularity_than_the_tiers_is_refused(tier: Tier, grain: str) -> None:
    with pytest.raises(GranularityNotAvailable) as error:
        question(f"metric=sent&granularity={grain}", tier)
    assert error.value.details == {"max_granularity": tier.finest.value}


def test_ten_thousand_buckets_pass_and_one_more_does_not() -> None:
    start = "metric=sent&granularity=minute&from=2026-05-01T00:00:00Z"
    assert question(start + "&to=2026-05-07T22:40:00Z").window.count == 10_000
    with pytest.raises(WindowTooLarge) as error:
        question(start + "&to=2026-05-07T22:40:01Z")
    assert error.value.details == {"bucket_count": 10_001, "max_buckets": 10_000}


def test_a_hundred_thousand_pass_where_only_what_has_changed_is_listed() -> None:
    start = "metric=sent&granularity=minute&updated_since=2026-05-01T00:00:00Z&from=2026-01-01T00:00:00Z"
    assert question(start + "&to=2026-03-11T10:40:00Z").window.count == 100_000
    with pytest.raises(WindowTooLarge) as error:
        question(start + "&to=2026-03-11T10:40:01Z")
    assert error.value.details == {"bucket_count": 100_001, "max_buckets": 100_000}
    with pytest.raises(GranularityNotAvailable):
        question(start + "&to=2026-01-01T00:01:00Z", Tier.GROWTH)


def test_the_tier_is_checked_before_the_size() -> None:
    with pytest.raises(GranularityNotAvailable):
        question("metric=sent&granularity=minute&from=2001-01-01T00:00:00Z", Tier.PAYG)


@given(GRAINS, st.integers(10**9, 4 * 10**9), st.integers(1, 10**6))
def test_buckets_tile_the_window_and_contain_what_was_asked(grain: Grain, since: int, span: int) -> None:
    window = Window(grain, grain.floor(since), grain.ceil(since + span))
    starts = list(window.bucket_starts)
    assert starts[0] <= since < starts[0] + grain.seconds
    assert starts[-1] < since + span <= starts[-1] + grain.seconds
    assert [b - a for a, b in pairwise(starts)] == [grain.seconds] * (window.count - 1)


@given(windows(), st.integers(1, 200))
def test_pages_joined_are_the_window(window: Window, limit: int) -> None:
    starts: list[int] = []
    position = window.start
    while position < window.end:
        page = window.page(position, limit)
        starts += page.bucket_starts
        position = page.end
    assert starts == list(window.bucket_starts)


@given(windows(), st.lists(st.integers(0, 5), max_size=60), st.integers(1, 12))
def test_what_fits_is_a_beginning_as_long_as_may_be_and_never_empty(window: Window, held: list[int], most: int) -> None:
    cells = dict(zip(window.bucket_starts, held, strict=False))
    fits = window.within(cells, most)
    total = sum(cells.get(start, 0) for start in fits.bucket_starts)
    assert (fits.grain, fits.start) == (window.grain, window.start)
    assert total <= most or fits.count == 1
    assert fits.end == window.end or total + cells.get(fits.end, 0) > most


@pytest.mark.parametrize(("start", "end"), [(1, 3600), (0, 3601), (3600, 3600), (7200, 3600)])
def test_a_window_that_is_not_of_whole_buckets_cannot_be_built(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="not a window"):
        Window(Grain.HOUR, start, end)
