"""The hashes of all keys: looked for by halving, read whole once a minute, and for a miss read anew by one for all."""

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Unavailable
from api.known_keys import OVERLAP_MS, READINGS_A_SECOND, WHOLE_SECONDS, KeyHashes, KnownKeys

READ_MS = 1_000_000


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def hashes(*keys: str, read_ms: int = READ_MS) -> KeyHashes:
    return KeyHashes(read_ms, b"".join(sorted(map(digest, keys))))


class Keys:
    """Keys with the time of their writing; each reading is noted with its time, and may be held up or fail."""

    def __init__(self) -> None:
        self.written: dict[str, int] = {}
        self.readings: list[tuple[float, int]] = []
        self.now = 0.0
        self.begun, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()
        self.is_away = False
        self.known = KnownKeys(self._read, lambda: self.now)

    async def _read(self, since_ms: int) -> KeyHashes:
        self.readings.append((asyncio.get_running_loop().time(), since_ms))
        self.begun.set()
        found = hashes(*(key for key, at_ms in self.written.items() if at_ms >= since_ms))
        await self.may_answer.wait()
        if self.is_away:
            raise Unavailable
        return found

    def hold(self) -> None:
        """Hold the next reading up once it has begun."""
        self.begun.clear()
        self.may_answer.clear()

    async def has(self, *keys: str) -> list[bool]:
        return await asyncio.gather(*(self.known.has(digest(key).hex()) for key in keys))


def played(play: Callable[[Keys], Awaitable[None]]) -> Keys:
    """Keys after a test's play in an event loop."""

    async def main() -> Keys:
        keys = Keys()
        await play(keys)
        return keys

    return asyncio.run(main())


@given(st.sets(st.integers(0, 300)), st.integers(0, 300))
def test_exactly_those_that_were_read_are_found(numbers: set[int], asked: int) -> None:
    assert (digest(str(asked)) in hashes(*map(str, numbers))) == (asked in numbers)


def test_all_who_miss_share_one_reading_that_begins_after_them_at_most_four_a_second() -> None:
    async def play(keys: Keys) -> None:
        assert await keys.has(*map(str, range(500))) == [False] * 500
        for _ in range(3):
            assert await keys.has("a", "b") == [False, False]

    readings = played(play).readings
    assert len(readings) == 4
    waits = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(readings)]
    assert min(waits) >= 1 / READINGS_A_SECOND - 0.02


def test_those_who_waited_for_one_reading_go_on_in_turn_with_whatever_else_there_is_to_do() -> None:
    async def play(keys: Keys) -> None:
        keys.hold()
        strangers = [asyncio.create_task(keys.has(str(number))) for number in range(64)]
        await keys.begun.wait()
        keys.may_answer.set()
        answered = [0]
        while answered[-1] < len(strangers):
            await asyncio.sleep(0)
            answered.append(sum(stranger.done() for stranger in strangers))
        assert max(later - earlier for earlier, later in itertools.pairwise(answered)) <= 2

    played(play)


def test_a_key_made_while_a_reading_is_under_way_waits_for_the_next_one_and_is_found() -> None:
    async def play(keys: Keys) -> None:
        await keys.has("old")
        keys.hold()
        early = asyncio.create_task(keys.has("stranger"))
        await keys.begun.wait()
        keys.written["made"] = READ_MS
        late = asyncio.create_task(keys.has("made"))
        await asyncio.sleep(0)
        keys.may_answer.set()
        assert (await early, await late) == ([False], [True])

    assert [since for _, since in played(play).readings] == [0, READ_MS - OVERLAP_MS, READ_MS - OVERLAP_MS]


def test_all_are_read_again_after_a_minute_without_anybody_waiting_and_deleted_ones_are_gone() -> None:
    async def play(keys: Keys) -> None:
        keys.written = {"kept": 0, "deleted": 0}
        assert await keys.has("kept", "deleted") == [True, True]
        del keys.written["deleted"]
        keys.now += WHOLE_SECONDS
        keys.hold()
        assert await keys.has("kept") == [True]
        await keys.begun.wait()
        keys.may_answer.set()
        assert await keys.has("deleted") == [False]

    assert [since for _, since in played(play).readings][:2] == [0, 0]


def test_before_the_first_reading_nobody_is_told_that_a_key_is_wrong() -> None:
    async def play(keys: Keys) -> None:
        keys.written, keys.is_away = {"good": 0}, True
        with pytest.raises(Unavailable):
            await keys.has("good")
        keys.is_away = False
        assert await keys.has("good", "bad") == [True, False]

    assert [since for _, since in played(play).readings] == [0, 0]


def test_an_outage_leaves_known_keys_known_and_does_not_make_others_wrong() -> None:
    async def play(keys: Keys) -> None:
        keys.written = {"good": 0}
        assert await keys.has("good") == [True]
        keys.is_away = True
        keys.now += WHOLE_SECONDS
        with pytest.raises(Unavailable):
            await keys.has("bad")
        assert await keys.has("good") == [True]
        keys.is_away = False
        assert await keys.has("bad") == [False]

    assert [since for _, since in played(play).readings] == [0, 0, READ_MS - OVERLAP_MS]


def test_a_client_that_goes_away_ends_no_reading_that_others_wait_for() -> None:
    async def play(keys: Keys) -> None:
        keys.written = {"good": 0}
        keys.hold()
        gone, stays = (asyncio.create_task(keys.has("good")) for _ in range(2))
        await keys.begun.wait()
        gone.cancel()
        await asyncio.sleep(0)
        keys.may_answer.set()
        assert await stays == [True]

    assert len(played(play).readings) == 1
