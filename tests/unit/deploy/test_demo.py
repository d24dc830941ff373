"""The demo's traffic over one topic or several."""

import random

import msgspec
import pytest

from deploy.cli.demo import OUTCOMES, Traffic, topic_of

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
