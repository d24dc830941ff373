"""Readers, verdicts and the queue, as a table of moments."""

from collections.abc import Collection, Iterable

import pytest

from pipeline.core.envelope.frames import SchemaKey
from pipeline.registry.cache import MOST_CHARACTERS, MOST_QUEUED, MOST_READERS, Cache, Looked
from pipeline.registry.errors import Away, NotThere, Refuses, RegistryError, Unusable

ABSENT = NotThere("no schema", "register it")
AWAY = Away("no answer", "it is asked again")
REFUSES = Refuses("401", "check the password")
UNUSABLE = Unusable("of the kind XML", "register Avro")
REQUEST_SECONDS = 0.002


class Registry:
    """Answers at once on a clock that runs from one question to the next, and remembers them with their moments."""

    def __init__(self, *there: SchemaKey) -> None:
        self.there, self.errors = set(there), dict[SchemaKey, RegistryError]()
        self.cache: Cache[str] = Cache()
        self.now = 0.0
        self.asked: list[tuple[float, SchemaKey]] = []

    def look(self, *keys: SchemaKey) -> Looked[str]:
        return self.cache.look(keys, self.now)

    def run(self, until: float) -> None:
        """Let the thread's loop run until then, at the moments that the cache itself names."""
        while self.now < until:
            if (key := self.cache.next(self.now)) is None:
                pause = self.cache.pause(self.now)
                assert pause != 0
                self.now = min(until, until if pause is None else self.now + pause)
                continue
            asked_at = self.now
            self.asked.append((round(asked_at, 1), key))
            self.now += REQUEST_SECONDS
            if key in self.there:
                self.cache.put(key, f"reader {key}")
            else:
                self.cache.note(key, self.errors.get(key, ABSENT), asked_at, self.now)

    def times(self, key: SchemaKey) -> list[float]:
        return [at for at, asked in self.asked if asked == key]

    def decided_at(self, keys: Collection[SchemaKey], step: float = 0.5) -> float:
        """The first moment at which nothing is missing any more."""
        while self.look(*keys).missing:
            self.run(self.now + step)
        return self.now


def approx(moments: Iterable[float]) -> object:
    return pytest.approx(list(moments), abs=0.11)


def test_a_schema_is_missing_then_known_and_asked_for_once() -> None:
    registry = Registry(7, "guid")
    first = registry.look(7, "guid")
    assert not first.readers
    assert not first.verdicts
    assert {key: cause.passes for key, cause in first.missing.items()} == {7: True, "guid": True}
    registry.look(7, 7)
    registry.run(100)
    assert registry.asked == [(0.0, 7), (0.0, "guid")]
    assert registry.look(7, "guid") == Looked({7: "reader 7", "guid": "reader guid"}, {}, {})


def test_a_404_is_unknown_only_after_ten_seconds_and_for_a_minute() -> None:
    registry = Registry()
    registry.look(7)
    registry.run(9.9)
    assert registry.look(7).missing == {7: ABSENT.cause}
    registry.run(10.1)
    assert registry.look(7) == Looked({}, {7: ABSENT}, {})
    assert registry.times(7) == approx(range(11))
    registry.run(69.9)
    assert not registry.look(7).missing
    registry.run(70.1)
    assert registry.look(7).missing
    registry.there.add(7)
    registry.run(70.2)
    assert registry.look(7).readers
    assert len(registry.times(7)) == 12


def test_an_answer_that_was_read_long_after_it_was_asked_for_decides_nothing() -> None:
    """A process stands still with a 404 in its socket, for longer than any registry lags."""
    registry = Registry()
    registry.look(7)
    registry.run(0.5)
    assert not registry.cache.note(7, ABSENT, 1.0, 21.0)
    registry.now = 21.0
    assert registry.look(7).missing == {7: ABSENT.cause}
    assert registry.cache.pause(21.0) == 0, "it is asked for again at once"
    assert registry.cache.note(7, ABSENT, 21.0, 21.1)
    assert registry.look(7).verdicts == {7: ABSENT}


def test_a_registry_that_lags_is_waited_for() -> None:
    registry = Registry()
    registry.look(7)
    registry.run(8.5)
    registry.there.add(7)
    registry.run(9.5)
    assert registry.look(7).readers == {7: "reader 7"}


def test_a_thousand_unknown_schemas_take_as_long_as_one() -> None:
    registry = Registry()
    keys = range(1_000)
    assert registry.decided_at(keys) <= 10 + 2 * 1_000 * REQUEST_SECONDS
    assert len(registry.asked) <= 2 * 1_000 + 9 * 20


def test_more_of_them_are_decided_by_two_answers() -> None:
    registry = Registry(5_000)
    registry.decided_at(range(20))
    begun = registry.now
    assert registry.decided_at(range(100, 1_000)) <= begun + 1 + 2 * 900 * REQUEST_SECONDS + 0.5
    assert max(len(registry.times(key)) for key in range(100, 1_000)) == 2
    assert registry.decided_at([5_000]) <= registry.now + 0.5


def test_a_stream_of_unknown_schemas_never_takes_ten_seconds_each() -> None:
    registry = Registry()
    for first in range(0, 3_000, 100):
        registry.decided_at(range(first, first + 100))
    assert registry.now < 10 + 30 * 2


def test_the_hurry_is_over_a_minute_after_the_last_twenty() -> None:
    registry = Registry()
    registry.decided_at(range(20))
    registry.run(registry.now + 60)
    begun = registry.now
    assert registry.decided_at([50]) >= begun + 10


def test_nineteen_unknown_schemas_are_no_reason_to_hurry() -> None:
    registry = Registry()
    registry.decided_at(range(19))
    begun = registry.now
    assert registry.decided_at([50]) >= begun + 10


def test_schemas_that_are_there_do_not_wait_for_those_that_are_not() -> None:
    registry = Registry(900)
    registry.look(*range(901))
    registry.run(901 * REQUEST_SECONDS + 0.1)
    assert registry.look(900).readers


def test_what_is_over_the_queue_has_its_turn_later() -> None:
    registry = Registry(*range(3_000))
    keys = range(MOST_QUEUED + 5)
    assert "1000 others are" in registry.look(*keys).missing[MOST_QUEUED].why
    registry.run(1_000 * REQUEST_SECONDS)
    assert len(registry.asked) == MOST_QUEUED
    assert registry.look(*keys[5:]).missing.keys() == set(keys[MOST_QUEUED:])


@pytest.mark.parametrize("error", [AWAY, REFUSES])
def test_a_registry_in_trouble_is_asked_in_growing_pauses_and_said(error: RegistryError) -> None:
    registry = Registry()
    registry.errors[7] = error
    registry.look(7)
    registry.run(20)
    assert registry.times(7) == approx([0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5])
    assert registry.cache.problem is error
    assert registry.look(7, 8).missing == {7: error.cause, 8: error.cause}
    assert registry.look(7).missing[7].passes is (error is AWAY)
    registry.there |= {7, 8}
    registry.run(registry.now + 5.1)
    assert registry.look(7, 8).readers.keys() == {7, 8}
    assert registry.cache.problem is None


def test_one_schema_in_trouble_keeps_no_other_waiting_for_long() -> None:
    registry = Registry(*range(100, 200))
    registry.errors[7] = AWAY
    registry.look(7)
    registry.run(30)
    for key in range(100, 110):
        registry.look(7, key)
        begun = registry.now
        assert registry.decided_at([key], step=0.05) <= begun + 5.1
        registry.run(registry.now + 0.3)
    assert registry.look(7).missing == {7: AWAY.cause}


def test_a_registry_that_comes_back_may_lag_as_well() -> None:
    registry = Registry()
    registry.look(7)
    registry.run(9)
    registry.errors[7] = AWAY
    registry.run(12)
    del registry.errors[7]
    registry.run(20)
    assert registry.look(7).missing
    registry.run(25)
    assert registry.look(7).verdicts


def test_a_schema_that_nobody_asks_for_any_more_is_left_alone() -> None:
    registry = Registry()
    registry.errors[7] = AWAY
    registry.look(7)
    registry.run(59)
    registry.look(7)
    registry.run(500)
    assert 113 < registry.times(7)[-1] < 119
    assert registry.cache.problem is None
    assert registry.cache.pause(500) is None


def test_an_unusable_schema_is_refused_for_a_minute() -> None:
    registry = Registry()
    registry.errors[7] = UNUSABLE
    registry.look(7)
    registry.run(59.9)
    assert registry.look(7) == Looked({}, {7: UNUSABLE}, {})
    assert len(registry.asked) == 1
    registry.run(60.1)
    assert registry.look(7).missing
    registry.run(60.2)
    assert registry.times(7) == approx([0, 60.1])


def test_refused_schemas_are_no_reason_to_hurry() -> None:
    registry = Registry()
    registry.errors |= dict.fromkeys(range(100), UNUSABLE)
    registry.decided_at(range(100))
    begun = registry.now
    assert registry.decided_at([500]) >= begun + 10


def test_of_many_readers_the_least_used_go() -> None:
    registry = Registry(*range(MOST_READERS + 1))
    registry.decided_at(range(MOST_READERS))
    registry.look(0)
    registry.decided_at([MOST_READERS])
    assert registry.look(0).readers
    assert registry.look(1).missing
    registry.decided_at([1])
    assert registry.look(2).missing.keys() == {2}
    registry.run(registry.now + 1)
    assert registry.look(0, MOST_READERS, 1, 2).missing == {}


def test_large_schemas_push_out_others_as_many_would() -> None:
    cache: Cache[str] = Cache()
    for key in range(20):
        cache.put(key, f"reader {key}", MOST_CHARACTERS // 8)
    assert len(cache.look(range(20), 0.0).readers) == 8
    cache.put(99, "reader 99", 2 * MOST_CHARACTERS)
    assert cache.look([99], 0.0).readers == {99: "reader 99"}
    cache.put(99, "reader 99", 1)
    cache.put(100, "reader 100", MOST_CHARACTERS - 1)
    assert len(cache.look([99, 100], 0.0).readers) == 2


def test_a_failure_now_and_then_does_not_begin_the_wait_anew() -> None:
    registry = Registry()
    registry.look(7)
    registry.run(4)
    registry.errors[7] = AWAY
    registry.run(4.9)
    del registry.errors[7]
    registry.run(12)
    assert registry.look(7).verdicts
