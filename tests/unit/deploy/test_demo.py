"""The demo's traffic over one topic or several."""

import random

import msgspec
import pytest

from deploy.cli.demo import OUTCOMES, Traffic, topic_of
from pipeline.core.decode import decode_batch
from pipeline.core.records import Columns
from tests.support.places import P0
from tests.support.record import NOW_MS, Record

TRAFFIC = Traffic(["acme"], seed=1)
EVENTS = [TRAFFIC.event(1_780_000_000_000 + number) for number in range(300)]


@pytest.mark.parametrize(
    ("topics", "types"),
    [
        (("all",), [set(OUTCOMES)]),
        (("a", "b"), [{"message.sent", "message.failed"}, {"message.delivered", "message.charged"}]),
        (("a", "b", "c", "d"), [{name} for name in OUTCOMES]),
        (("a", "b", "c", "d", "e"), [*({name} for name in OUTCOMES), set()]),
    ],
)
def test_events_of_a_type_go_to_one_topic_and_with_four_each_has_its_own(
    topics: tuple[str, ...], types: list[set[str]]
) -> None:
    found: dict[str, set[str]] = {topic: set() for topic in topics}
    for event in EVENTS:
        found[topic_of(event, topics)].add(msgspec.json.decode(event)["type"])
    assert list(found.values()) == types


def test_broken_and_doubled_records_have_a_topic_as_well() -> None:
    pick = random.Random(1)
    records = [record for _ in range(50) for record in TRAFFIC.live(1_780_000_000_000, pick.randrange(20))]
    assert any(b"NOT A CHANNEL" in record for record in records)
    assert {topic_of(record, ("a", "b")) for record in records} == {"a", "b"}


def test_the_history_is_read_up_to_the_time_of_its_events_charges_or_not() -> None:
    """Else as_of would pass what is not read yet, and the first numbers of a demo would be too small, and not null."""
    history = Traffic(["acme"], seed=1).history(NOW_MS)[:500]
    assert any(b"message.charged" in record for _, record in history)
    records = [Record(offset, record, at_ms) for offset, (at_ms, record) in enumerate(history)]
    assert decode_batch(P0, records, NOW_MS, 0, 0, Columns()).candidate_ms == history[-1][0]
