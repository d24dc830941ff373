"""A broker is named for a stamp that no right clock can have made, and for no other."""

import pytest

from pipeline.core.broker_clocks import SHOWN_MS, BrokerClocks
from pipeline.core.clocks import Moment
from tests.support.moments import at
from tests.support.places import P0, P1

NOW = 1_778_000_000_000
MINUTE = 60_000
BROKER = 3


def stamped(behind_ms: int, silent_ms: int = 100, **changes: int) -> BrokerClocks:
    """A record that came after so long a silence, with a stamp of that long before it came."""
    clocks = BrokerClocks()
    clocks.had_nothing(BROKER, P0, 7, NOW - silent_ms)
    clocks.appended(changes.get("broker", BROKER), P0, changes.get("position", 7), NOW - behind_ms, at(NOW))
    return clocks


@pytest.mark.parametrize("behind_ms", [0, 100, MINUTE + 100, -MINUTE])
def test_a_stamp_of_the_time_in_between_is_right_give_or_take_a_minute(behind_ms: int) -> None:
    assert stamped(behind_ms).sentences(NOW) == []


@pytest.mark.parametrize(
    ("behind_ms", "words"),
    [
        (MINUTE + 101, "60 s behind"),
        (3_600_100, "3600 s behind"),
        (-MINUTE - 1, "60 s ahead"),
        (-40 * 86_400_000, "3456000 s ahead"),
    ],
)
def test_any_other_names_the_broker_and_how_far_it_is_off_for_a_minute(behind_ms: int, words: str) -> None:
    clocks = stamped(behind_ms)
    (sentence,) = clocks.sentences(NOW + SHOWN_MS)
    assert sentence.startswith(f"broker 3's clock is {words}: ")
    assert clocks.sentences(NOW + SHOWN_MS + 1) == []


def test_a_long_silence_leaves_a_stamp_as_much_room() -> None:
    assert stamped(3_600_000, silent_ms=3_600_000).sentences(NOW) == []
    assert stamped(3_600_000 + MINUTE + 1, silent_ms=3_600_000).sentences(NOW)


@pytest.mark.parametrize("changes", [{"broker": 4}, {"position": 8}])
def test_who_had_nothing_elsewhere_says_nothing_of_this_record(changes: dict[str, int]) -> None:
    """A new leader may have got the record from the old one, and a seek may lead back to where records are old."""
    assert stamped(3_600_000, **changes).sentences(NOW) == []


def test_only_the_first_record_after_a_silence_tells() -> None:
    clocks = stamped(0)
    clocks.appended(BROKER, P0, 7, NOW - 3_600_000, at(NOW))
    clocks.appended(BROKER, P1, 7, NOW - 3_600_000, at(NOW))
    assert clocks.sentences(NOW) == []


def test_a_broker_whose_clock_was_set_right_is_named_no_more_and_others_are() -> None:
    clocks = stamped(3_600_000)
    for broker, behind_ms in ((4, -3_600_000), (BROKER, 0)):
        assert len(clocks.sentences(NOW)) == (1 if broker == 4 else 2)
        clocks.had_nothing(broker, P1, 9, NOW)
        clocks.appended(broker, P1, 9, NOW - behind_ms, at(NOW))
    (sentence,) = clocks.sentences(NOW)
    assert sentence.startswith("broker 4's clock is 3600 s ahead")


@pytest.mark.parametrize("stamped_ms", [None, -1, -(2**63), 2**63 - 1, 0])
def test_what_is_no_time_of_a_broker_tells_nothing(stamped_ms: int | None) -> None:
    clocks = BrokerClocks()
    clocks.had_nothing(BROKER, P0, 7, NOW)
    clocks.appended(BROKER, P0, 7, stamped_ms, at(NOW))
    assert clocks.sentences(NOW) == []


def test_nothing_is_said_while_our_own_clock_is_in_doubt_or_because_it_was_set() -> None:
    clocks = BrokerClocks()
    clocks.had_nothing(BROKER, P0, 7, NOW)
    clocks.appended(BROKER, P0, 7, NOW - 3_600_000, None)
    assert clocks.sentences(NOW) == []
    clocks.had_nothing(BROKER, P0, 7, NOW)
    set_back = Moment(NOW - 3_600_000, NOW + 100)
    clocks.appended(BROKER, P0, 7, set_back.wall_ms, set_back)  # all clocks of a machine, the broker's too
    assert clocks.sentences(NOW) == []
