"""Statements on the fake, on ClickHouse and on a cluster: what a revision is made of, and what changes none."""

import threading
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from pipeline.core.effects import CloseBuckets, Effect, InsertFacts, RaiseState, State
from pipeline.core.erasure import order_erasure_steps
from pipeline.core.protocol import rebuild_steps
from pipeline.core.statements.deciding import Order, Reason, Refusal
from pipeline.core.statements.document import Cell, Head, Numbers, hash_of, parse
from pipeline.core.statements.history import (
    AppendStatements,
    Draft,
    ReadDocuments,
    ReadLines,
    ReadRestored,
    ReadStatable,
    ReadStatements,
    Statable,
    histories,
)
from pipeline.core.statements.keeping import Unfit, erase_statements_steps
from pipeline.core.statements.steps import ORGANIZATIONS_A_PORTION, Result, state_steps
from pipeline.runner import drive
from schemas.grain import Grain
from schemas.period import day_name, month_of
from tests.support.exported import import_documents
from tests.support.stores import NOW, Case, facts

MONTH = month_of(NOW).before
DAY = MONTH.end - Grain.DAY.seconds
"""The last day of the month before this one: its facts are kept on every day of this one."""
NAME = day_name(DAY)
MARGIN_MS = 60_000


@pytest.fixture(autouse=True)
def _nothing_is_awaited_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster inserts are waited for by the clock; here nobody else has any."""
    monkeypatch.setattr("pipeline.clickhouse.inserts.LONGEST_INSERT_SECONDS", 0)
    monkeypatch.setattr("pipeline.clickhouse.stating.SURELY_SEEN_SECONDS", 0)


def count(case: Case, *rows: tuple[str, str, int, int, int], generation: int = 0) -> None:
    """Facts arrive and are aggregated up to some time ahead."""
    case.perform(InsertFacts(facts(*rows)))
    aggregate(case, generation)


def aggregate(case: Case, generation: int = 0) -> None:
    for grain in Grain:
        case.perform(CloseBuckets(grain, MONTH.start, MONTH.end, generation))
    case.perform(RaiseState(State(as_of_ms=2 * NOW * 1000, closing_ms=2 * NOW * 1000)))


def state(case: Case, *, adjusts: bool = False, org: str = "", **more: Any) -> dict[str, Result]:
    aggregate(case)  # up to now, which is later than what was stated before
    order = Order(MONTH, org, adjusts=adjusts, partial=True, **more)
    return {r.org_id: r for r in drive(state_steps(order), case.perform)}


def documents(case: Case) -> dict[tuple[str, int], bytes]:
    """By organization and revision."""
    stored = histories(case.perform(ReadStatements(MONTH.name)))
    revisions = [s for history in stored.values() for s in history.revisions.values()]
    portions = [tuple(revisions[n : n + 200]) for n in range(0, len(revisions), 200)]
    found = {sha256: data for portion in portions for sha256, data in case.perform(ReadDocuments(portion)).items()}
    return {(s.org_id, s.revision): found[s.sha256] for s in revisions}


def test_the_lines_of_a_month_are_what_was_counted(case: Case) -> None:
    assert case.perform(ReadStatable(MONTH)) == Statable(None, {})
    count(
        case,
        ("a", "1", 1, 500_000, DAY + 5), ("a", "2", 2, 1, DAY + 65), ("a", "3", 4, -750_000, DAY + 65),
        ("b", "1", 3, 0, DAY - 5), ("b", "after", 1, 0, MONTH.end),
    )  # fmt: skip
    assert case.perform(ReadStatable(MONTH)) == Statable((DAY - 60) * 1000, {"a": 1, "b": 1})
    assert case.perform(ReadStatable(MONTH, "b")).lines == {"b": 1}
    lines = case.perform(ReadLines(MONTH, ("a", "b", "nobody")))
    assert lines == {
        "a": {Cell(NAME, "sms", None): Numbers(1, 1, 0, 1, Decimal("-0.249999"))},
        "b": {Cell(day_name(DAY - 5), "sms", None): Numbers(0, 0, 1, 0, Decimal(0))},
    }
    assert case.perform(ReadLines(MONTH, ("b",))).keys() == {"b"}


def test_what_is_appended_is_read_back_to_the_byte(case: Case) -> None:
    case.perform(RaiseState(State(as_of_ms=NOW * 1000, closing_ms=NOW * 1000, generation=3)))
    one = Draft(Head('a "\\ \x01é😀', MONTH.name, 1, None, partial=True), "{\u2028}\n".encode(), NOW * 1000 + 7, 3)
    two = Draft(Head("b", MONTH.name, 2, "f" * 64), b"another", NOW * 1000, 3)
    case.perform(AppendStatements((one, two)))
    found = case.perform(ReadStatements())
    assert {
        (s.org_id, s.period, s.revision, s.sha256, s.previous, s.partial, s.as_of_ms, s.generation) for s in found
    } == {
        (one.head.org, MONTH.name, 1, hash_of(one.document), "", True, NOW * 1000 + 7, 3),
        ("b", MONTH.name, 2, hash_of(b"another"), "f" * 64, False, NOW * 1000, 3),
    }
    assert case.perform(ReadDocuments(found)) == {one.sha256: one.document, two.sha256: two.document}
    assert case.perform(ReadDocuments(())) == {}
    assert [s.org_id for s in case.perform(ReadStatements("", "b"))] == ["b"]
    assert case.perform(ReadStatements("2001-01")) == ()
    ((first, second),) = [sorted(s.stated_at_us for s in found)]
    assert abs(first - second) < 10_000_000
    assert case.perform(ReadRestored()) == 0


def test_late_events_are_stated_once_and_nobody_else_is_touched(case: Case) -> None:
    count(case, ("a", "1", 1, 500_000, DAY), ("b", "1", 1, 0, DAY))
    assert {org: r.is_stated for org, r in state(case).items()} == {"a": True, "b": True}
    count(case, ("a", "late", 4, -200_000, DAY), ("c", "new", 1, 0, DAY))
    assert {org for org, r in state(case).items() if r.is_stated} == {"c"}, "who is closed is closed"
    assert {org for org, r in state(case, adjusts=True).items() if r.is_stated} == {"a"}
    assert not any(r.is_stated for r in state(case, adjusts=True).values())
    found = documents(case)
    assert found.keys() == {("a", 1), ("a", 2), ("b", 1), ("c", 1)}
    assert parse(found["a", 2]).head.previous == hash_of(found["a", 1])
    assert parse(found["a", 2]).total() == Numbers(1, 0, 0, 1, Decimal("0.3"))


def test_a_rebuild_changes_no_byte(case: Case) -> None:
    count(case, ("a", "1", 1, 500_000, DAY), ("a", "2", 3, 0, DAY + 7200), ("b", "1", 1, 0, DAY - 5))
    state(case)
    before = documents(case)
    drive(rebuild_steps(DAY - Grain.DAY.seconds, MONTH.end), case.perform)
    assert {org for org, r in state(case, adjusts=True).items() if r.is_stated} == set()
    assert documents(case) == before


def test_an_erased_organization_keeps_its_statements_and_gets_none(case: Case) -> None:
    count(case, ("a", "1", 1, 500_000, DAY), ("b", "1", 1, 0, DAY))
    state(case)
    before = documents(case)
    with pytest.raises(Unfit, match="a was not erased, so its months could be stated, and billed, once more"):
        drive(erase_statements_steps("a"), case.perform)
    drive(order_erasure_steps("a", NOW * 1000), case.perform)
    decision = state(case, adjusts=True)["a"].outcome
    assert isinstance(decision, Refusal)
    assert decision.reason is Reason.ERASED
    assert documents(case) == before
    assert drive(erase_statements_steps("a"), case.perform) == (1, ())
    assert documents(case).keys() == {("b", 1)}
    assert drive(erase_statements_steps("a"), case.perform) == (0, ())
    assert ("a", 1) not in documents(case)
    assert not any(r.is_stated for r in state(case).values()), "nobody is billed once more"


def test_what_was_exported_is_imported_elsewhere_in_any_order_and_once(case: Case) -> None:
    count(case, ("a", "1", 1, 500_000, DAY), ("b", "1", 1, 0, DAY))
    state(case)
    count(case, ("a", "late", 1, 0, DAY))
    state(case, adjusts=True)
    exported = documents(case)
    assert drive(import_documents(exported.values()), case.perform).known == 3
    drive(order_erasure_steps("a", NOW * 1000), case.perform)
    drive(erase_statements_steps("a"), case.perform)
    with pytest.raises(Unfit, match=f"revision 2 of a {MONTH.name} follows .*, and revision 1 is not here"):
        drive(import_documents([exported["a", 2]]), case.perform)
    done = drive(import_documents(reversed(exported.values())), case.perform)
    assert (done.new, done.known) == (2, 1)
    assert documents(case) == exported
    other = exported["a", 2].replace(b'"sent":2', b'"sent":3')
    with pytest.raises(Unfit, match=r"is another document here, sha256 .* one of the two was billed, or both"):
        drive(import_documents([other]), case.perform)


def test_two_closers_and_two_adjusters_at_once_state_every_organization_once(case: Case) -> None:
    orgs = [f"o{n}" for n in range(5)]
    count(case, *((org, "1", 1, 500_000, DAY) for org in orgs))
    problems: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            problems.append(error)

    for late in range(2):
        if late:
            count(case, *((org, "late", 4, -100_000, DAY) for org in orgs))
        order = [Order(MONTH, adjusts=adjusts, partial=True) for adjusts in (False, False, True, True)]
        works = [lambda order=one: drive(state_steps(order), case.perform) for one in order]
        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert problems == []
    state(case, adjusts=True)
    stored = histories(case.perform(ReadStatements(MONTH.name)))
    found = documents(case)
    for org in orgs:
        revisions = [found[org, n] for n in sorted(stored[org, MONTH.name].revisions)]
        assert parse(revisions[-1]).total() == Numbers(1, 0, 0, 1, Decimal("0.4"))
        assert [parse(data).head.previous for data in revisions] == [None, *map(hash_of, revisions[:-1])]
        assert len({parse(data).total() for data in revisions}) == len(revisions) == 2


def test_whoever_crashes_between_any_two_steps_and_runs_again_states_everybody_once(case: Case) -> None:
    orgs = [f"crashes at {n}" for n in range(20)]
    count(case, *((org, "1", 1, 500_000, DAY) for org in orgs))
    steps = 0
    for crash, org in enumerate(orgs):
        steps = 0

        def perform(effect: Effect, crash: int = crash) -> Any:
            nonlocal steps
            if steps == crash:
                raise KeyboardInterrupt
            steps += 1
            return case.perform(effect)

        with suppress(KeyboardInterrupt):
            drive(state_steps(Order(MONTH, org, partial=True)), perform)
    assert 10 < steps < len(orgs) - 1, "the last one did not crash"
    state(case)
    count(case, *((org, "late", 4, -1, DAY) for org in orgs))
    state(case, adjusts=True)
    found = documents(case)
    assert found.keys() == {(org, revision) for org in orgs for revision in (1, 2)}
    for org in orgs:
        assert parse(found[org, 2]).total() == Numbers(1, 0, 0, 1, Decimal("0.499999"))
        assert parse(found[org, 2]).head.previous == hash_of(found[org, 1])


def test_organizations_with_the_longest_names_are_stated_in_portions(case: Case) -> None:
    orgs = [f"{n:04}{'😀' * 60}" for n in range(ORGANIZATIONS_A_PORTION + 1)]
    for event in ("1", "late"):
        count(case, *((org, event, 1, 500_000, DAY) for org in orgs))
        results = state(case, adjusts=event == "late")
        assert sum(r.is_stated for r in results.values()) == len(orgs)
    assert len(documents(case)) == 2 * len(orgs)
