"""The cache of answers and its single-flight: whose answer it is, for how long, in how much memory."""

import asyncio
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.answer import Answer
from api.answers import ENTRY_BYTES, REUSE_SECONDS, AnswerCache, CachedAnswer, SingleFlight
from api.cache_key import CacheKey
from api.endpoint import write
from api.errors import Unavailable
from api.negotiate import CSV, JSON
from api.params import Metric
from api.window import Question, Window
from schemas.grain import Grain
from tests.support.endpoint import Clock

HOURS = Question(Metric.SENT, Window(Grain.HOUR, 0, 36_000), None, None)
KEY = CacheKey("a", HOURS, 0, 1000, JSON, False)
MOST_STALE_SECONDS = 2.0


def answer(body: bytes) -> CachedAnswer:
    return CachedAnswer(body, (), (), "tag", 10, 36_000)


ANSWER = answer(b"ten")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> AnswerCache:
    return AnswerCache(clock)


def test_an_answer_is_never_older_than_two_seconds_however_long_it_took_to_read(
    cache: AnswerCache, clock: Clock
) -> None:
    assert REUSE_SECONDS <= MOST_STALE_SECONDS
    clock.now = REUSE_SECONDS / 2
    cache.keep(KEY, ANSWER, read_at=0.0)
    clock.now = REUSE_SECONDS - 0.01
    assert cache.find(KEY) is ANSWER
    clock.now = REUSE_SECONDS
    assert cache.find(KEY) is None
    cache.keep(KEY, ANSWER, read_at=0.0)
    assert (len(cache), cache.size_bytes) == (0, 0), "it took so long to read that it is old when it arrives"


def test_an_answer_that_is_old_when_it_arrives_does_not_push_out_a_newer_one(cache: AnswerCache, clock: Clock) -> None:
    clock.now = REUSE_SECONDS
    cache.keep(KEY, ANSWER, read_at=REUSE_SECONDS)
    cache.keep(KEY, answer(b"old"), read_at=0.0)
    assert cache.find(KEY) is ANSWER


def test_an_answer_larger_than_the_cache_is_not_kept_and_pushes_nothing_out(clock: Clock) -> None:
    cache = AnswerCache(clock, max_bytes=ANSWER.size_bytes)
    cache.keep(KEY, ANSWER, 0.0)
    cache.keep(replace(KEY, limit=1), answer(b"four"), 0.0)
    assert cache.find(KEY) is ANSWER
    assert cache.find(replace(KEY, limit=1)) is None


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, org_id="b"),
        replace(KEY, question=replace(HOURS, metric=Metric.FAILED)),
        replace(KEY, question=replace(HOURS, window=Window(Grain.MINUTE, 0, 36_000))),
        replace(KEY, question=replace(HOURS, window=Window(Grain.HOUR, 0, 39_600))),
        replace(KEY, question=replace(HOURS, group_by="channel")),
        replace(KEY, question=replace(HOURS, compare_to="prior_period")),
        replace(KEY, position=3_600),
        replace(KEY, limit=999),
        replace(KEY, media_type=CSV),
        replace(KEY, is_gzipped=True),
    ],
)
def test_nothing_that_was_asked_otherwise_is_answered(cache: AnswerCache, other: CacheKey) -> None:
    cache.keep(KEY, ANSWER, 0.0)
    assert cache.find(other) is None


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5_000), st.floats(0, 0.7)), max_size=60))
def test_memory_stays_bounded_and_counted_and_holds_nothing_old(steps: list[tuple[int, int, float]]) -> None:
    limit, clock = 4 * (ENTRY_BYTES + 1_000), Clock()
    cache = AnswerCache(clock, max_bytes=limit)
    kept: dict[CacheKey, CachedAnswer] = {}
    for number, size, passed in steps:
        clock.now += passed
        key, large = replace(KEY, limit=number), answer(b"x" * size)
        cache.keep(key, large, clock.now)
        kept[key] = large
        held = {k: x for k, x in kept.items() if cache.find(k) is x}
        assert cache.size_bytes == sum(x.size_bytes for x in held.values()) <= limit
        assert len(cache) == len(held)
        assert key in held or large.size_bytes > limit


def test_an_entry_costs_no_more_beside_its_body_than_is_counted() -> None:
    """A large one: compressed, with a cursor, and nothing shared with another."""
    number, cache = 300, AnswerCache(Clock())
    keep_large(cache, -1)  # whatever is made once
    tracemalloc.start()
    try:
        bodies = sum(keep_large(cache, n) for n in range(number))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cache) == number + 1
    assert held - bodies < number * ENTRY_BYTES


def keep_large(cache: AnswerCache, n: int) -> int:
    """Keep an answer like no other; the size of its body."""
    window = Window(Grain.HOUR, n * 3600, (n + 24) * 3600)
    question = Question(Metric.SENT, window, "channel", "prior_period")
    key = CacheKey(f"org-{n:060}", question, window.start, 1000 + n, JSON, True)
    made = write(Answer(question, window, {}, {}, 1_777_939_200 + n, 1000 + n, f"{n:0300}"), key)
    cache.keep(key, made, 0.0)
    return len(made.body)


class Source:
    """Is read in steps that the test decides on, and counts."""

    def __init__(self) -> None:
        self.readings: list[asyncio.Future[CachedAnswer]] = []

    def __call__(self) -> asyncio.Future[CachedAnswer]:
        self.readings.append(asyncio.get_running_loop().create_future())
        return self.readings[-1]


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_identical_queries_in_flight_share_one_reading_and_then_the_cached_answer() -> None:
    async def run() -> None:
        here, source = SingleFlight(AnswerCache(Clock())), Source()
        asking = [asyncio.create_task(here.get(KEY, source)) for _ in range(16)]
        other = asyncio.create_task(here.get(replace(KEY, org_id="b"), source))
        await settle()
        assert len(source.readings) == 2
        source.readings[0].set_result(ANSWER)
        source.readings[1].set_result(answer(b"other"))
        assert await asyncio.gather(*asking) == [ANSWER] * 16
        assert (await other).body == b"other"
        assert await here.get(KEY, source) is ANSWER
        assert len(source.readings) == 2

    asyncio.run(run())


def test_a_query_too_late_to_share_an_old_reading_starts_a_new_one() -> None:
    async def run() -> None:
        clock = Clock()
        here, source = SingleFlight(AnswerCache(clock)), Source()
        first = asyncio.create_task(here.get(KEY, source))
        await settle()
        clock.now = REUSE_SECONDS
        second = asyncio.create_task(here.get(KEY, source))
        await settle()
        source.readings[1].set_result(answer(b"new"))
        assert (await second).body == b"new"
        source.readings[0].set_result(ANSWER)
        assert (await first).body == b"ten"
        assert (await here.get(KEY, source)).body == b"new", "the older reading came last and replaced nothing"

    asyncio.run(run())


def test_a_failure_reaches_all_who_wait_and_nobody_after_them() -> None:
    async def run() -> None:
        here, source = SingleFlight(AnswerCache(Clock())), Source()
        asking = [asyncio.create_task(here.get(KEY, source)) for _ in range(3)]
        await settle()
        source.readings[0].set_exception(Unavailable())
        failed = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(x) for x in failed] == [Unavailable] * 3
        again = asyncio.create_task(here.get(KEY, source))
        await settle()
        source.readings[1].set_result(ANSWER)
        assert await again is ANSWER

    asyncio.run(run())


def test_a_reading_goes_on_when_the_client_that_started_it_has_gone() -> None:
    async def run() -> None:
        here, source = SingleFlight(AnswerCache(Clock())), Source()
        first, second = (asyncio.create_task(here.get(KEY, source)) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        source.readings[0].set_result(ANSWER)
        assert await second is ANSWER

    asyncio.run(run())
