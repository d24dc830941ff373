"""``explain`` against ClickHouse: which facts and dead letters it shows, and as what."""

from deploy.cli.explain import SHOWN_FACTS, SHOWN_LETTERS, explain_bucket, explain_event
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertDeadLetters, InsertFacts
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter
from schemas.grain import Grain
from schemas.message_event import DeadLetterReason
from tests.support.places import P0, TOPIC
from tests.support.stores import DAY, facts


def opened(url: str) -> Store:
    return Store(url, "cluster", "worker", 30)


def letter(offset: int, value: bytes, org: str = "", event: str = "") -> DeadLetter:
    reason = DeadLetterReason.MALFORMED_JSON
    return DeadLetter(P0, offset, reason, "broken", 1, None, value, (), org, event)


def test_a_metric_shows_its_facts_however_many_others_are_before_them(url: str) -> None:
    store = opened(url)
    sent = [("acme", f"s-{number:03}", 1, 0, DAY) for number in range(SHOWN_FACTS + 1)]
    store.perform(InsertFacts(facts(*sent, ("acme", "t-failed", 3, 0, DAY + 60))))
    failed = explain_bucket(store, "acme", DAY, Grain.DAY, "failed")
    assert sum("t-failed" in line for line in failed) == 1
    assert failed[-1] != "… and more"
    assert explain_bucket(store, "acme", DAY, Grain.DAY, "delivered")[-1] == "no facts"
    assert explain_bucket(store, "acme", DAY, Grain.DAY, "cost_cents")[-1] == "… and more"


def test_a_dead_letter_that_only_holds_the_id_is_not_said_to_be_the_event(url: str) -> None:
    store = opened(url)
    store.perform(InsertDeadLetters((letter(0, b"{e-1"), letter(1, b"{e-1", "other"), letter(2, b"{}", "acme", "e-2"))))
    seen, perhaps = explain_event(store, "acme", "e-1", [TOPIC])
    assert seen.startswith("never seen")
    assert perhaps.startswith(f"perhaps it, since its bytes hold the id: dead letter {TOPIC}/0/0: ")
    (named,) = explain_event(store, "acme", "e-2", [TOPIC])
    assert named.startswith(f"dead letter {TOPIC}/0/2: ")


def test_dead_letters_that_name_the_event_come_first_and_more_are_said_to_be_there(url: str) -> None:
    store = opened(url)
    others = [letter(offset, b"{e-1") for offset in range(SHOWN_LETTERS)]
    store.perform(InsertDeadLetters((*others, letter(99, b"{}", "acme", "e-1"))))
    lines = explain_event(store, "acme", "e-1", [TOPIC])
    assert lines[0].startswith(f"dead letter {TOPIC}/0/99: ")
    assert (len(lines), lines[-1]) == (SHOWN_LETTERS + 1, "… and more")


def test_facts_are_shown_with_their_topic_and_with_a_question_mark_where_none_was_kept(url: str) -> None:
    store = opened(url)
    columns = facts(("acme", "old", 1, 0, DAY), ("acme", "new", 1, 0, DAY + 60))
    columns.place[:] = Place("", 4), Place("another", 4)
    store.perform(InsertFacts(columns))
    assert "record ?/4/0, " in explain_event(store, "acme", "old", [TOPIC])[0]
    assert "record another/4/1, " in explain_event(store, "acme", "new", [TOPIC])[0]
    old, new = explain_bucket(store, "acme", DAY, Grain.DAY, "")[-2:]
    assert "  ?/4/0, " in old
    assert "  another/4/1, " in new


def test_an_event_that_was_never_seen_was_published_to_none_of_the_topics_that_are_read(url: str) -> None:
    store = opened(url)
    (one,) = explain_event(store, "acme", "e-1", ["a"])
    assert "It was not published to a, or not read yet" in one
    (several,) = explain_event(store, "acme", "e-1", ["b", "a"])
    assert "It was not published to any of b, a, or not read yet" in several
