"""``dead-letters`` against ClickHouse: of the letters that it leaves out it says how many there are."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from deploy.cli.dead_letters import MOST_SHOWN, _not_shown, counts, describe, listing
from deploy.cli.explain import explain_event
from deploy.cli.letters import SHOWN_CLUSTERS, Filter, left_out, read_letters
from deploy.errors import Refused
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertDeadLetters, InsertFacts
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter
from pipeline.repair.replay_forecast import known_letters
from schemas import tables
from schemas.message_event import DeadLetterReason
from tests.support.places import P0, TOPIC
from tests.support.stores import NOW, facts

NOW_MS = NOW * 1000
Opened = Callable[[str], Store]


@pytest.fixture
def opened(url: str) -> Opened:
    """Opens stores of a Kafka cluster."""
    return lambda cluster: Store(url, cluster, "worker", 30)


def letter(offset: int, reason: DeadLetterReason = DeadLetterReason.EMPTY, record_ms: int = NOW_MS) -> DeadLetter:
    return DeadLetter(P0, offset, reason, "broken", record_ms, None, None, ())


def keep(store: Store, *letters: DeadLetter) -> Store:
    store.perform(InsertDeadLetters(letters))
    return store


def test_a_listing_that_is_cut_says_how_many_more_there_are_and_how_to_see_them(opened: Opened) -> None:
    others = [letter(9, DeadLetterReason.TOO_LARGE), letter(10, DeadLetterReason.TOO_LARGE)]
    store = keep(opened("cluster"), *[letter(offset) for offset in range(5)], *others)
    told = "`msgmetrics dead-letters export` has them all"
    assert listing(store, Filter(), 3)[-1] == f"… and 4 more; --limit 7 shows them, and {told}"
    assert listing(store, Filter(reason="empty"), 3)[-1] == f"… and 2 more; --limit 5 shows them, and {told}"
    assert "more" not in "".join(listing(store, Filter(), 7) + listing(store, Filter(reason="empty"), 5))
    assert _not_shown(MOST_SHOWN + 1 - 50, MOST_SHOWN + 1) == [f"… and {MOST_SHOWN - 49} more; {told}"]


def test_letters_without_any_time_are_counted_where_a_filter_by_time_leaves_them_out(opened: Opened) -> None:
    store = keep(
        opened("cluster"), letter(0), letter(1, record_ms=0), letter(2, DeadLetterReason.TOO_LARGE, record_ms=0)
    )
    told = "more without a time, of the record or its event; leave --from out for them"
    since = Filter(from_ms=NOW_MS - 1)
    assert listing(store, since, 9)[-1] == f"2 {told}"
    assert left_out(store, replace(since, reason="empty")) == [f"1 {told}"]
    assert left_out(store, replace(since, org="nobody")) == []
    for includes in (Filter(), Filter(to_ms=NOW_MS)):
        assert left_out(store, includes) == []
        assert {x.offset for x in read_letters(store, includes)} >= {1, 2}


def test_letters_of_another_kafka_cluster_are_counted_and_can_be_chosen(opened: Opened) -> None:
    old = keep(opened("old one"), letter(0), letter(1), letter(2, DeadLetterReason.TOO_LARGE, record_ms=0))
    new = opened("new")
    assert listing(new, Filter(), 9) == [
        "no dead letters",
        "3 more of Kafka cluster old one; --cluster 'old one' chooses them",
    ]
    keep(new, letter(0))
    assert left_out(new, Filter(reason="empty"))[0].startswith("2 more of Kafka cluster old one")
    assert left_out(old, Filter()) == ["1 more of Kafka cluster new; --cluster new chooses them"]
    chosen = Filter(cluster="old one")
    assert len(list(read_letters(new, chosen))) == 3
    assert left_out(new, chosen) == left_out(old, Filter())
    assert describe(new, (P0, 1), "old one")[0].endswith(f"{TOPIC}/0/1")
    with pytest.raises(Refused):
        describe(new, (P0, 1))


def test_many_clusters_take_few_lines(opened: Opened) -> None:
    for number in range(SHOWN_CLUSTERS + 2):
        keep(opened(f"c-{number}"), letter(0))
    assert left_out(opened("cluster"), Filter())[-1] == "… and of 2 clusters more"
    assert len(left_out(opened("cluster"), Filter())) == SHOWN_CLUSTERS + 1


def test_explain_names_the_cluster_of_a_letter_that_a_list_would_not_have(opened: Opened) -> None:
    named = replace(letter(0), org_id="acme", event_id="e-1")
    keep(opened("old"), named)
    keep(opened("cluster"), replace(named, offset=1))
    ours, others = sorted(explain_event(opened("cluster"), "acme", "e-1", [TOPIC]), key=lambda line: "old" in line)
    assert others.endswith(", of Kafka cluster old)")
    assert "cluster" not in ours


# -- several topics ---------------------------------------------------------------------------------------------------

A0, B0 = Place("a", 0), Place("b", 0)


def send_back(store: Store, letter: DeadLetter) -> None:
    names = ["cluster_id", "topic", "partition", "offset", "incarnation"]
    store.insert("noting", tables.REDRIVES, names, [(store.cluster_id, *letter.place, letter.offset, 0)])


def test_a_letter_is_not_sent_back_because_one_of_another_topic_at_the_same_place_was(opened: Opened) -> None:
    ours, others = replace(letter(7), place=A0), replace(letter(7), place=B0)
    store = keep(opened("cluster"), ours, others)
    send_back(store, ours)
    assert {x.place: x.redrives for x in read_letters(store, Filter())} == {A0: 1, B0: 0}
    assert counts(store, Filter()) == [("empty", 2, 1)]
    for topic, sent in (("a", 1), ("b", 0)):
        assert counts(store, Filter(topic=topic)) == [("empty", 1, sent)]
        assert [x.redrives for x in read_letters(store, Filter(topic=topic))] == [sent]
    for place, state in ((A0, "sent back"), (B0, "waits")):
        assert [line for line in describe(store, (place, 7)) if line[:5] == "state"] == [f"state         {state}"]
    assert known_letters(store, [others]) == 1
    assert known_letters(store, [replace(letter(7), place=Place("c", 0))]) == 0


def test_letters_of_all_topics_are_listed_and_one_topic_can_be_chosen(opened: Opened) -> None:
    at = [replace(letter(offset), place=place) for place in (B0, A0) for offset in (1, 0)]
    store = keep(opened("cluster"), *at, replace(letter(2, record_ms=0), place=B0))
    everything = [(x.place, x.offset) for x in read_letters(store, Filter())]
    assert everything == [(A0, 0), (A0, 1), (B0, 0), (B0, 1), (B0, 2)], "they were seen at one time"
    assert "       5 empty" in listing(store, Filter(), 9)
    assert listing(store, Filter(topic="b"), 1)[-1].startswith("… and 2 more; --limit 3 shows them")
    assert listing(store, Filter(topic="c"), 9) == ["no dead letters"]
    since = Filter(from_ms=NOW_MS - 1)
    assert (len(left_out(store, since)), left_out(store, replace(since, topic="a"))) == (1, [])
    assert left_out(opened("new"), Filter(topic="a"))[0].startswith("2 more of Kafka cluster cluster")


def test_the_event_of_a_letter_is_counted_by_now_whatever_topic_brought_it(opened: Opened) -> None:
    store = opened("cluster")
    lost = replace(letter(0), org_id="acme", event_id="e-1", type="message.sent")
    keep(store, replace(lost, place=A0), replace(lost, place=B0, event_id="e-2"))
    store.perform(InsertFacts(facts(("acme", "e-1", 1, 0, NOW))))
    for topic, is_resolved in (("", [True, False]), ("a", [True]), ("b", [False])):
        assert [x.is_resolved for x in read_letters(store, Filter(topic=topic))] == is_resolved
