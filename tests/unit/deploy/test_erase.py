"""How far an erasure reaches when a producer's clock is ahead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.erase import UNASKED_MS, ahead_of_now, choose_instant
from deploy.errors import Refused
from schemas.instant import parse_instant

NOW_MS = 1_780_000_000_123
INSTANTS = st.integers(0, 4_000_000_000_000)


@given(INSTANTS, INSTANTS, st.none() | st.integers(0, 4_000_000_000))
def test_an_erasure_covers_what_is_stored_and_never_more_than_that_or_now(
    now_ms: int, newest_ms: int, until: int | None
) -> None:
    try:
        assert choose_instant("acme", now_ms, newest_ms, until) == max(now_ms, newest_ms)
    except Refused:
        assert newest_ms > now_ms + UNASKED_MS
        assert until is None or until * 1000 < newest_ms


@given(st.integers(UNASKED_MS + 1, 10**12))
def test_the_instant_that_a_refusal_names_confirms_it(ahead_ms: int) -> None:
    with pytest.raises(Refused, match="--until") as refused:
        choose_instant("acme", NOW_MS, NOW_MS + ahead_ms, None)
    assert refused.value.exit_code == 4
    named = str(refused.value).split("--until ")[1].split()[0]
    assert choose_instant("acme", NOW_MS, NOW_MS + ahead_ms, parse_instant(named).seconds) == NOW_MS + ahead_ms
    assert named in ahead_of_now(NOW_MS, NOW_MS + ahead_ms)[0], "the preview names it too"


def test_the_preview_says_nothing_of_clocks_that_are_right() -> None:
    assert ahead_of_now(NOW_MS, 0) == ahead_of_now(NOW_MS, NOW_MS) == []


def test_the_preview_says_how_far_ahead_the_newest_record_is() -> None:
    (said,) = ahead_of_now(NOW_MS, NOW_MS + 2_400_000)
    assert "2400 s ahead" in said
    assert "what it sends until then is dropped too" in said
    assert "--until" not in said
