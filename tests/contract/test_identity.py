"""A fact is known by organization, type, id and minute; a dead letter by its place and its topic's incarnation."""

import json
from typing import Any

import pytest

from deploy.cli.dead_letters import as_line, counts, describe, listing
from deploy.cli.explain import explain_event
from deploy.cli.letters import Filter, Letter, read_letters
from deploy.cli.reconcile import as_text
from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from pipeline.clock import this_moment
from pipeline.core.effects import CloseBuckets, InsertDeadLetters, InsertFacts
from pipeline.core.flush import Chunk
from pipeline.core.place import Place
from pipeline.core.progress import Progress, WriteProgress
from pipeline.core.records import DeadLetter
from pipeline.core.start import Gap
from pipeline.repair.reconcile import Reconciler, Reconciliation
from pipeline.repair.replay_forecast import DryRun, Forecast, known_letters
from pipeline.repair.replay_reading import Wanted
from schemas import tables
from schemas.endpoint import Endpoint
from schemas.grain import Grain
from schemas.message_event import DELIVERED, SENT, DeadLetterReason
from schemas.settings import read_settings
from tests.support.places import P0, TOPIC
from tests.support.stores import DAY, Case, facts

NOON = DAY + 12 * 3600


@pytest.fixture(params=["url", "cluster"])
def store(request: pytest.FixtureRequest) -> Store:
    target: str | Endpoint = request.getfixturevalue(request.param)
    return Store(target, "cluster", "worker", 30)


def letter(offset: int, event: str = "", kind: str = "", value: bytes = b"x") -> DeadLetter:
    reason = DeadLetterReason.INVALID_FIELD
    return DeadLetter(P0, offset, reason, "why", NOON * 1000, None, value, (), "a", event, kind)


def test_losses_of_a_topic_made_anew_are_those_of_its_newest_incarnation(store: Store) -> None:
    for life in (0, 1):
        begin_anew(store, P0, life)
        store.record_gap(P0, Gap(10 * life, 10 * life + 5))
    where = {"topic": TOPIC, "cluster_id": "cluster"}
    found = store.rows("looking", sql("state/gaps"), **where)
    assert [tuple(row[1:4]) for row in found] == [(P0.number, 10, 15)]


def said(*answers: list[str]) -> str:
    return "\n".join(line for lines in answers for line in lines)


def letters(store: Store) -> list[Letter]:
    return list(read_letters(store, Filter()))


def test_sent_and_delivered_under_one_id_in_one_minute_are_two(case: Case) -> None:
    case.perform(InsertFacts(facts(("a", "1", SENT, 5, NOON), ("a", "1", DELIVERED, 7, NOON + 1))))
    case.perform(InsertFacts(facts(("a", "1", SENT, 5, NOON))))
    for grain, bucket in ((Grain.MINUTE, NOON), (Grain.HOUR, NOON), (Grain.DAY, DAY)):
        case.perform(CloseBuckets(grain, DAY, DAY + Grain.DAY.seconds, 0))
        assert case.totals(grain) == {("a", bucket): (1, 1, 0, 12, 2)}


def reconciled(store: Store) -> Reconciliation:
    store.perform(InsertFacts(facts(("a", "both types", SENT, 0, NOON), ("a", "both types", DELIVERED, 0, NOON + 90))))
    twice = [("a", "dated anew", kind, 0, NOON + 60 * n) for kind in (SENT, DELIVERED) for n in range(kind)]
    store.perform(InsertFacts(facts(*twice)))
    return Reconciler(store, "", lambda _: None).run(DAY, DAY + Grain.DAY.seconds)


def test_an_id_of_two_types_at_two_times_is_no_violation(store: Store) -> None:
    result = reconciled(store)
    assert [(v.event_id, v.type, len(v.times_ms)) for v in result.violations] == [
        ("dated anew", "message.delivered", 2)
    ]
    assert result.violations[0].places[0][0] == P0, "facts keep the topic"
    said_of_it = next(line for line in as_text(result) if line.startswith("violation"))
    assert "sent dated anew (message.delivered) at " in said_of_it
    assert f" ({TOPIC}/0/" in said_of_it


def test_an_event_is_explained_type_by_type(store: Store) -> None:
    reconciled(store)
    lines = explain_event(store, "a", "both types", [TOPIC])
    assert [line.split(" at ")[0] for line in lines] == ["counted: message.sent", "counted: message.delivered"]
    assert f"record {TOPIC}/0/" in lines[0]
    assert "message.delivered was sent with this id for 2 times" in explain_event(store, "a", "dated anew", [TOPIC])[-1]


def test_a_letter_is_resolved_by_an_event_of_its_own_type_and_never_without_one(store: Store) -> None:
    told = (letter(0, "1", "message.sent"), letter(1, "1", "message.delivered"), letter(2, "1"), letter(3))
    store.perform(InsertDeadLetters(told))
    assert [x.is_resolved for x in letters(store)] == [False] * 4
    store.perform(InsertFacts(facts(("a", "1", DELIVERED, 0, NOON), ("b", "1", SENT, 0, NOON))))
    assert [x.is_resolved for x in letters(store)] == [False, True, False, False]
    assert [x.type for x in letters(store)] == ["message.sent", "message.delivered", "", ""]


def test_a_dry_run_tells_types_apart(store: Store) -> None:
    known = facts(("a", "1", SENT, 0, NOON))
    store.perform(InsertFacts(known))
    met = Chunk(columns=facts(("a", "1", SENT, 0, NOON), ("a", "1", DELIVERED, 0, NOON)), records=2)
    dry_run = DryRun(read_settings({}), Wanted(0, 1), this_moment, {}, None, store)
    assert dry_run.look_at(met, {}, Forecast()) == 2
    assert dry_run.count_new(2) == 1


def begin_anew(store: Store, place: Place, life: int) -> None:
    store.begin_incarnation(place, life)
    store.perform(WriteProgress((Progress(place, 1),)))


def mark(store: Store, one: Letter) -> None:
    """Note that a letter was sent back, as `redrive` does."""
    names = ["cluster_id", "topic", "partition", "offset", "incarnation"]
    row: tuple[Any, ...] = ("cluster", *one.place, one.offset, one.incarnation)
    store.insert("marking", tables.REDRIVES, names, [row])


def test_letters_and_marks_of_a_topic_made_anew_hide_none_and_are_hidden_by_none(store: Store) -> None:
    begin_anew(store, P0, 0)
    store.perform(InsertDeadLetters((letter(0, value=b"old"), letter(1, value=b"old"))))
    mark(store, letters(store)[0])
    begin_anew(store, P0, 1)
    assert known_letters(store, [letter(0)]) == 0, "it is new"
    store.perform(InsertDeadLetters((letter(0, value=b"new"),)))
    store.perform(InsertDeadLetters((letter(0, value=b"new"),)))
    assert known_letters(store, [letter(0), letter(1)]) == 1
    found = {(x.offset, x.incarnation): (x.value, x.redrives) for x in letters(store)}
    assert found == {(0, 0): (b"old", 1), (1, 0): (b"old", 0), (0, 1): (b"new", 0)}
    assert counts(store, Filter()) == [("invalid_field", 3, 1)]


def test_of_letters_at_one_place_none_hides_another(store: Store) -> None:
    begin_anew(store, P0, 0)
    of_old = (letter(0, "1", "message.sent", b"old"), letter(1, "1", "message.sent", b"only"))
    store.perform(InsertDeadLetters(of_old))
    assert "incarnation" not in said(
        describe(store, (P0, 0)), listing(store, Filter(), 9), explain_event(store, "a", "1", [TOPIC])
    )
    begin_anew(store, P0, 1)
    store.perform(InsertDeadLetters((letter(0, "1", "message.delivered", b"new"), letter(2, "1"))))
    ids = [line for line in describe(store, (P0, 0)) if line.startswith("id ") or line in ("old", "new")]
    place = f"{TOPIC}/0/0"
    first, second = (f"id            {place} (incarnation {n} of the topic)" for n in (1, 0))
    assert ids == [first, "new", second, "old"]
    listed = [line.split(" why")[-1] for line in listing(store, Filter(), 9) if line.startswith(TOPIC)]
    told = [" [incarnation 0 of the topic]", "", *[" [incarnation 1 of the topic]"] * 2]
    assert sorted(listed) == sorted(told)
    lines = explain_event(store, "a", "1", [TOPIC])
    assert sum("(message.sent, record time" in line for line in lines) == 2
    assert [line.count("incarnation 1 of the topic)") for line in lines if place in line] == [0, 1]
    assert [line.count("incarnation 0 of the topic)") for line in lines if place in line] == [1, 0]
    exported = [json.loads(as_line(x)) for x in letters(store)]
    assert sorted((x["offset"], x["incarnation"]) for x in exported) == [(0, 0), (0, 1), (1, 0), (2, 1)]
