"""The real fetcher, on a broker whose clock is wrong: what tells, and what only seems to."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from pipeline.clock import this_moment
from tests.support.fake_broker import Broker, close
from tests.support.reading import Reader, batch, reading, run

APPEND_TIME = 8
HOUR_MS = 3_600_000


@dataclass
class Watched:
    """A reader that believes its own clock, of a partition with a record from long ago."""

    reader: Reader

    async def silence(self) -> None:
        """Read to the end, and be told that there is nothing."""
        await self.reader.until(lambda: sum({0: self.end} == asked for asked in self.reader.broker.asked) >= 2)

    async def record(self, ago_ms: int, attributes: int = APPEND_TIME) -> None:
        """A record of so long ago is appended, and read."""
        behind = self.end + 1
        stamp = this_moment().wall_ms - ago_ms
        self.reader.broker.batches[0].append(
            batch(b"x", at=self.end, attributes=attributes, first_timestamp=stamp, max_timestamp=stamp)
        )
        await self.reader.until(lambda: self.reader.position() == behind)

    @property
    def end(self) -> int:
        return len(self.reader.broker.batches[0])

    def named(self) -> list[str]:
        return self.reader.consumer._fetcher.broker_clocks.sentences(this_moment().boot_ms)


def watched(test: Callable[[Watched], Awaitable[None]]) -> None:
    async def main() -> None:
        old = batch(b"old", attributes=APPEND_TIME, max_timestamp=1_700_000_000_000)
        reader = reading(Broker({0: [old]}), 0)
        reader.consumer._fetcher.now = this_moment
        try:
            await test(Watched(reader))
        finally:
            await close(reader.consumer)

    run(main)


@pytest.mark.parametrize(("ago_ms", "words"), [(HOUR_MS, "behind"), (-HOUR_MS, "ahead")])
def test_a_broker_that_stamps_what_it_has_just_appended_an_hour_off_is_named(ago_ms: int, words: str) -> None:
    async def test(on: Watched) -> None:
        await on.silence()
        assert on.named() == [], "a record that was there before may be as old as it says"
        await on.record(ago_ms)
        (sentence,) = on.named()
        assert re.match(rf"broker 1's clock is (3[56]\d\d) s {words}: ", sentence)
        await on.silence()
        await on.record(0)
        assert on.named() == []

    watched(test)


def test_a_producers_stamp_names_no_broker() -> None:
    async def test(on: Watched) -> None:
        await on.silence()
        await on.record(HOUR_MS, attributes=0)
        assert on.named() == []

    watched(test)


def test_what_an_open_transaction_has_hidden_is_no_silence() -> None:
    async def test(on: Watched) -> None:
        on.reader.broker.ends[0] = on.end + 1
        await on.silence()
        del on.reader.broker.ends[0]
        await on.record(HOUR_MS)
        assert on.named() == []

    watched(test)
