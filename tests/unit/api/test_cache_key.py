"""What a request asks for: one key for one answer, however it is asked."""

import pytest

from api import cursor
from api.cache_key import CacheKey, decide
from api.changes import Pinned
from api.cursor import Cursor
from api.errors import GranularityNotAvailable, InvalidInput
from api.negotiate import CSV, JSON
from api.params import parse_query
from schemas.instant import Instant
from schemas.tiers import Tier

NOW = Instant(1_778_000_000)
SECRET = b"secret"
HOURS = "metric=sent&granularity=hour&from=2026-05-05T00:00:00Z&to=2026-05-05T04:00:00Z"


def key(query: str, org_id: str = "a", tier: Tier = Tier.SCALE, **headers: str) -> CacheKey:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return decide(parse_query(query.encode(), NOW), named, org_id, tier, SECRET, NOW)


def test_the_same_question_in_other_words_has_the_same_key() -> None:
    asked = key(HOURS)
    assert key(HOURS.replace("04:00:00Z", "03:00:00.1Z")) == asked, "windows are widened to whole buckets"
    assert key(HOURS.replace("&granularity=hour", "")) == asked, "the default of the tier"
    assert key(HOURS, accept="*/*", accept_encoding="identity") == asked
    assert key(HOURS, tier=Tier.GROWTH) == asked
    assert asked.media_type == JSON


def test_another_answer_has_another_key() -> None:
    others = [key(HOURS, "b"), key(HOURS + "&limit=7"), key(HOURS, accept=CSV), key(HOURS, accept_encoding="gzip")]
    assert len({key(HOURS), *others}) == 5


def test_what_is_asked_since_and_what_its_first_page_saw_are_part_of_the_key() -> None:
    """Answers are reused by it: a copy must not be given what changed since another instant."""
    since = [key(f"{HOURS}&updated_since=2026-05-05T00:00:0{second}Z") for second in "0011"]
    assert len({key(HOURS), *since}) == 3
    question = since[0].question
    texts = [cursor.encode(Cursor(question, question.window.start, Pinned(n, 7)), "a", SECRET) for n in (0, 1)]
    assert len({since[0], *(key(f"cursor={text}") for text in texts)}) == 3


def test_a_cursor_leads_to_the_key_of_its_page() -> None:
    first = key(HOURS)
    text = cursor.encode(Cursor(first.question, first.position + 3600), "a", SECRET)
    following = key(f"cursor={text}")
    assert (following.question, following.position) == (first.question, first.position + 3600)
    with pytest.raises(InvalidInput):
        key(f"cursor={text}", "b")
    with pytest.raises(InvalidInput):
        key(f"cursor={text}&metric=failed")


def test_a_tier_that_fell_since_the_first_page_is_refused_with_its_cursor() -> None:
    first = key(HOURS)
    text = cursor.encode(Cursor(first.question, first.position), "a", SECRET)
    with pytest.raises(GranularityNotAvailable):
        key(f"cursor={text}", tier=Tier.STARTER)
