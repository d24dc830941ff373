"""``dead-letters`` against ClickHouse: of the letters that it leaves out it says how many there are."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from deploy.cli.dead_letters import MOST_SHOWN, _not_shown, describe, listing
from deploy.cli.explain import explain_event
from deploy.cli.letters import SHOWN_CLUSTERS, Filter, left_out, read_letters
from deploy.errors import Refused
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertDeadLetters
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter
from schemas.message_event import DeadLetterReason
from tests.support.places import P0
from tests.support.stores import NOW

NOW_MS = NOW * 1000
Opened = Callable[[str], Store]


@pytest.fixture
def opened(module_url: str) -> Opened:
    """Opens stores of one topic, which no other test has."""
    topic = f"topic-{uuid.uuid4().hex}"

    def open_store(cluster: str) -> Store:
        return Store(module_url, cluster, topic, "worker", 30)

    return open_store


def letter(offset: int, reason: DeadLetterReason = DeadLetterReason.EMPTY, record_ms: int = NOW_MS) -> DeadLetter:
    return DeadLetter(P0, offset, reason, "broken", record_ms, None, None, ())


def keep(store: Store, *letters: DeadLetter) -> Store:
    store.perform(InsertDeadLetters(tuple(replace(x, place=Place(store.topic, 0)) for x in letters)))
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
    assert describe(new, (Place(new.topic, 0), 1), "old one")[0].endswith(f"{new.topic}/0/1")
    with pytest.raises(Refused):
        describe(new, (Place(new.topic, 0), 1))


def test_many_clusters_take_few_lines(opened: Opened) -> None:
    for number in range(SHOWN_CLUSTERS + 2):
        keep(opened(f"c-{number}"), letter(0))
    assert left_out(opened("cluster"), Filter())[-1] == "… and of 2 clusters more"
    assert len(left_out(opened("cluster"), Filter())) == SHOWN_CLUSTERS + 1


def test_explain_names_the_cluster_of_a_letter_that_a_list_would_not_have(opened: Opened) -> None:
    named = replace(letter(0), org_id="acme", event_id="e-1")
    keep(opened("old"), named)
    keep(opened("cluster"), replace(named, offset=1))
    ours, others = sorted(explain_event(opened("cluster"), "acme", "e-1"), key=lambda line: "old" in line)
    assert others.endswith(", of Kafka cluster old)")
    assert "cluster" not in ours
