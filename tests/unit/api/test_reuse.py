"""What is kept of answers: whose it is, for how long, in how much memory."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.answers import ENTRY_BYTES, REUSE_SECONDS, Answers, Asked, Ready
from api.errors import Unavailable
from api.params import Metric
from api.render import CSV, JSON
from api.sharing import Shared
from api.window import Request, Window
from schemas.grain import Grain

HOURS = Request(Metric.SENT, Window(Grain.HOUR, 0, 36_000), None, None)
ASKED = Asked("a", HOURS, 0, 1000, JSON, False)
READY = Ready(b"ten", {}, "tag", 10, 36_000)
MOST_STALE_SECONDS = 2.0


def test_an_answer_is_never_older_than_two_seconds_however_long_it_took_to_read() -> None:
    assert REUSE_SECONDS <= MOST_STALE_SECONDS
    answers = Answers()
    answers.keep(ASKED, READY, read_at=0.0, now=REUSE_SECONDS / 2)
    assert answers.find(ASKED, REUSE_SECONDS - 0.01) is READY
    assert answers.find(ASKED, REUSE_SECONDS) is None
    answers.keep(ASKED, READY, read_at=0.0, now=REUSE_SECONDS)
    assert (len(answers), answers.size_bytes) == (0, 0), "what took that long to read is old when it arrives"


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, org_id="b"),
        replace(ASKED, request=replace(HOURS, metric=Metric.FAILED)),
        replace(ASKED, request=replace(HOURS, window=Window(Grain.MINUTE, 0, 36_000))),
        replace(ASKED, request=replace(HOURS, window=Window(Grain.HOUR, 0, 39_600))),
        replace(ASKED, request=replace(HOURS, group_by="channel")),
        replace(ASKED, request=replace(HOURS, compare_to="prior_period")),
        replace(ASKED, position=3_600),
        replace(ASKED, limit=999),
        replace(ASKED, media_type=CSV),
        replace(ASKED, is_gzipped=True),
    ],
)
def test_nothing_that_was_asked_otherwise_is_answered(other: Asked) -> None:
    answers = Answers()
    answers.keep(ASKED, READY, 0.0, 0.0)
    assert answers.find(other, 0.0) is None


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5_000), st.floats(0, 0.7)), max_size=60))
def test_memory_stays_bounded_and_counted_and_holds_nothing_old(steps: list[tuple[int, int, float]]) -> None:
    limit, now = 4 * (ENTRY_BYTES + 1_000), 0.0
    answers = Answers(max_bytes=limit)
    kept: dict[Asked, tuple[float, Ready]] = {}
    for number, size, passed in steps:
        now += passed
        asked, ready = replace(ASKED, limit=number), replace(READY, body=b"x" * size)
        answers.keep(asked, ready, now, now)
        kept[asked] = (now, ready)
        held = {a: x for a, (_, x) in kept.items() if answers.find(a, now) is x}
        assert answers.size_bytes == sum(x.size_bytes for x in held.values()) <= limit
        assert len(answers) == len(held)
        assert asked in held or ready.size_bytes > limit


class Source:
    """Is read in steps that the test decides on, and counts."""

    def __init__(self) -> None:
        self.readings: list[asyncio.Future[Ready]] = []

    def __call__(self) -> asyncio.Future[Ready]:
        self.readings.append(asyncio.get_running_loop().create_future())
        return self.readings[-1]


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def shared(clock: Callable[[], float] = lambda: 0.0) -> Shared:
    return Shared(Answers(), clock)


def test_those_who_ask_the_same_at_once_share_one_reading_and_then_what_is_kept() -> None:
    async def run() -> None:
        here, source = shared(), Source()
        asking = [asyncio.create_task(here.get(ASKED, source)) for _ in range(16)]
        other = asyncio.create_task(here.get(replace(ASKED, org_id="b"), source))
        await settle()
        assert len(source.readings) == 2
        source.readings[0].set_result(READY)
        source.readings[1].set_result(replace(READY, body=b"other"))
        assert await asyncio.gather(*asking) == [READY] * 16
        assert (await other).body == b"other"
        assert await here.get(ASKED, source) is READY
        assert len(source.readings) == 2

    asyncio.run(run())


def test_who_asks_too_late_to_share_an_old_reading_gets_a_new_one() -> None:
    async def run() -> None:
        times = [0.0]
        here, source = shared(lambda: times[0]), Source()
        first = asyncio.create_task(here.get(ASKED, source))
        await settle()
        times[0] = REUSE_SECONDS
        second = asyncio.create_task(here.get(ASKED, source))
        await settle()
        source.readings[1].set_result(replace(READY, body=b"new"))
        assert (await second).body == b"new"
        source.readings[0].set_result(READY)
        assert (await first).body == b"ten"
        assert (await here.get(ASKED, source)).body == b"new", "the older reading came last and replaced nothing"

    asyncio.run(run())


def test_a_failure_reaches_all_who_wait_and_nobody_after_them() -> None:
    async def run() -> None:
        here, source = shared(), Source()
        asking = [asyncio.create_task(here.get(ASKED, source)) for _ in range(3)]
        await settle()
        source.readings[0].set_exception(Unavailable())
        failed = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(x) for x in failed] == [Unavailable] * 3
        again = asyncio.create_task(here.get(ASKED, source))
        await settle()
        source.readings[1].set_result(READY)
        assert await again is READY

    asyncio.run(run())


def test_a_reading_goes_on_when_who_asked_first_has_gone() -> None:
    async def run() -> None:
        here, source = shared(), Source()
        first, second = (asyncio.create_task(here.get(ASKED, source)) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        source.readings[0].set_result(READY)
        assert await second is READY

    asyncio.run(run())
