"""When a month gets a revision, and when it does not: each rule, and what it says."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.effects import State
from pipeline.core.statements.deciding import (
    Account,
    Decision,
    Known,
    Order,
    Reason,
    Refusal,
    Unchanged,
    decide,
    lower_days,
    read_stated,
)
from pipeline.core.statements.document import Cell, Document, Head, Malformed, Numbers, hash_of, parse
from pipeline.core.statements.history import Draft, Statement, histories
from pipeline.core.statements.keeping import first_kept
from schemas.period import parse_period

OCTOBER = parse_period("2026-10")
SMS, EMAIL = Cell("2026-10-05", "sms", None), Cell("2026-10-05", "email", None)
OLD, NEW = {SMS: Numbers(sent=5, cost_cents=Decimal(3))}, {SMS: Numbers(sent=6, cost_cents=Decimal(2))}
STATED_MS = OCTOBER.end_ms + 3_000_000
STATE = State(as_of_ms=STATED_MS, generation=7)
KNOWN = Known(STATE, OCTOBER.start_ms - 60_000, is_closed=True)
ADJUST, CLOSE = Order(OCTOBER, "acme", adjusts=True), Order(OCTOBER, "acme")


def statement(revision: int = 1, **changes: Any) -> Statement:
    found = Statement("acme", "2026-10", revision, STATED_MS * 1000, "x", "", False, STATED_MS - 9, 7, "0.1.0")
    return replace(found, **changes)


def stated(lines: Any = OLD, *, revision: int = 1, partial: bool = False, **changes: Any) -> dict[str, Any]:
    """The newest revision, as an account has it."""
    head = Head("acme", "2026-10", revision, None if revision == 1 else "before", partial)
    document = Document(head, lines)
    return {"newest": statement(revision, sha256=hash_of(document.encode()), **changes), "stated": document}


def decided(order: Order, lines: Any, known: Known = KNOWN, **account: Any) -> Decision:
    return decide(order, known, Account("acme", lines, **account))


def refused(order: Order, lines: Any, known: Known = KNOWN, **account: Any) -> tuple[Reason | None, str]:
    found = decided(order, lines, known, **account)
    return (found.reason, found.sentence) if isinstance(found, Refusal) else (None, "")


def drafted(order: Order, lines: Any, known: Known = KNOWN, **account: Any) -> Draft:
    found = decided(order, lines, known, **account)
    assert isinstance(found, Draft), found
    return found


def test_the_first_revision_has_none_before_it_and_is_whole() -> None:
    draft = drafted(CLOSE, OLD)
    assert parse(draft.document) == Document(Head("acme", "2026-10", 1), OLD)
    assert (draft.as_of_ms, draft.generation) == (STATED_MS, 7)


def test_the_next_revision_names_the_one_before_and_is_whole() -> None:
    before = stated(revision=4)
    draft = drafted(ADJUST, NEW, **before)
    assert parse(draft.document) == Document(Head("acme", "2026-10", 5, before["newest"].sha256), NEW)


def test_nothing_is_written_where_there_is_a_revision_to_close_or_nothing_to_adjust() -> None:
    assert decided(CLOSE, NEW, **stated()) == Unchanged()
    assert decided(CLOSE, NEW, erased_ms=OCTOBER.end_ms, **stated()) == Unchanged()
    assert decided(ADJUST, OLD, replace(KNOWN, state=State(1)), **stated()) == Unchanged()
    assert decided(Order(OCTOBER), {}) == decided(CLOSE, {}) == Unchanged(), "without numbers there is nothing to state"


def test_a_month_that_began_before_its_organization_was_erased_gets_no_revision() -> None:
    began = OCTOBER.start_ms
    for account in ({}, stated()):
        reason, sentence = refused(ADJUST, NEW, erased_ms=began + 1, **account)
        assert reason is Reason.ERASED
        assert sentence.startswith("acme was erased up to 2026-10-01T00:00:00.001Z, so numbers of 2026-10 are gone")
        assert refused(ADJUST, NEW, erased_ms=began, **account)[0] is None, "what it has sent since is all there"


def test_a_month_that_begins_before_the_first_rollup_is_partial_or_refused() -> None:
    late = replace(KNOWN, first_ms=OCTOBER.start_ms + 60_000)
    reason, sentence = refused(CLOSE, OLD, late)
    assert reason is Reason.BEGINS_BEFORE
    assert "(it begins 2026-10-01T00:01:00.000Z), so numbers of acme may be missing" in sentence
    assert "there is none yet" in refused(CLOSE, OLD, replace(KNOWN, first_ms=None))[1]
    permitted = replace(CLOSE, partial=True)
    assert drafted(permitted, OLD, late).head.partial
    assert not drafted(permitted, OLD, replace(KNOWN, first_ms=OCTOBER.start_ms)).head.partial, "it only permits"
    assert drafted(ADJUST, OLD, replace(late, is_partial=True)).head.partial, "as others of the month are"
    assert not drafted(replace(ADJUST, partial=True), NEW, late, **stated()).head.partial, "later ones inherit"
    assert drafted(ADJUST, NEW, KNOWN, **stated(partial=True)).head.partial


def test_a_month_that_nobody_has_closed_is_not_adjusted() -> None:
    reason, sentence = refused(ADJUST, NEW, replace(KNOWN, is_closed=False))
    assert reason is Reason.NEVER_CLOSED
    assert "all of it would be billed; `msgmetrics statements close` does that" in sentence
    assert drafted(CLOSE, NEW, replace(KNOWN, is_closed=False)).head.revision == 1


def test_aggregation_must_have_passed_the_newest_revision() -> None:
    before = replace(KNOWN, state=State(as_of_ms=STATED_MS - 1))
    reason, sentence = refused(ADJUST, NEW, before, **stated())
    assert reason is Reason.BEHIND
    assert "wait until the workers have passed that, as after a restore" in sentence
    assert refused(ADJUST, NEW, KNOWN, **stated())[0] is None


def test_numbers_that_were_stated_are_taken_back_only_by_name() -> None:
    fewer = {SMS: Numbers(sent=4, cost_cents=Decimal(9))}
    reason, sentence = refused(ADJUST, fewer, **stated())
    assert reason is Reason.LOWER
    assert "acme has fewer events of 2026-10-05 than revision 1 has" in sentence
    assert "statements adjust acme --period 2026-10 --accept-lower`" in sentence
    assert drafted(replace(ADJUST, lower=True), fewer, **stated()).head.revision == 2
    credit = {SMS: Numbers(sent=5, charged=1, cost_cents=Decimal(-7))}
    assert drafted(ADJUST, credit, **stated()).head.revision == 2, "a credit is no event less"


def test_days_are_named_up_to_three() -> None:
    days = {Cell(f"2026-10-{day:02}", "sms", None): Numbers(sent=1) for day in range(1, 6)}
    assert "of 2026-10-01, 2026-10-02, 2026-10-03 … than" in refused(ADJUST, {}, **stated(days))[1]


def test_days_that_differ_from_their_hours_are_not_stated() -> None:
    order = replace(ADJUST, differing=frozenset({"acme", "other"}))
    assert refused(order, NEW, **stated())[0] is Reason.DIFFERS
    assert refused(replace(order, differing=frozenset({"other"})), NEW, **stated())[0] is None


def test_a_document_that_is_not_what_was_written_is_no_ground_for_another() -> None:
    reason, sentence = refused(ADJUST, NEW, newest=statement(), damage="it is gone")
    assert reason is Reason.DAMAGED
    assert "is not what was written: it is gone" in sentence
    document = Document(Head("acme", "2026-10", 1), OLD).encode()
    newest = statement(sha256=hash_of(document))
    assert read_stated(newest, {newest.sha256: document}).lines == OLD
    for documents in ({}, {newest.sha256: document.replace(b"5", b"6")}):
        with pytest.raises(Malformed):
            read_stated(newest, documents)


events = st.lists(st.tuples(st.sampled_from(["2026-10-01", "2026-10-02"]), st.sampled_from("abc"), st.integers(0, 3)))


@given(events, events)
def test_events_that_come_are_never_lower_and_whatever_channel_they_move_to(old: Any, more: Any) -> None:
    def counted(found: Any) -> dict[Cell, Numbers]:
        lines: dict[Cell, Numbers] = {}
        for day, channel, kind in found:
            cell = Cell(day, channel, None)
            sent, delivered, failed, charged = (int(kind == n) for n in range(4))
            lines[cell] = lines.get(cell, Numbers()).plus(Numbers(sent, delivered, failed, charged))
        return lines

    moved = [(day, "folded", kind) for day, _, kind in [*old, *more]]
    assert lower_days(counted(moved), counted(old)) == []
    if more:
        days = sorted({day for day, _, _ in more})
        assert lower_days(counted(old), counted([*old, *more])) == days


# -- histories ------------------------------------------------------------------------------------------------------


def claims(*found: tuple[int, int, str, str]) -> list[Statement]:
    """(revision, stated at, hash, hash of the one before)."""
    return [statement(n, stated_at_us=at, sha256=own, previous=before) for n, at, own, before in found]


@given(st.permutations(claims((1, 5, "a", ""), (1, 4, "b", ""), (1, 4, "c", ""), (2, 9, "d", "b"), (2, 8, "e", "b"))))
def test_of_two_revisions_with_one_number_the_earlier_counts(found: list[Statement]) -> None:
    (history,) = histories(found).values()
    assert {n: s.sha256 for n, s in history.revisions.items()} == {1: "b", 2: "e"}
    assert [s.sha256 for s in history.void] == ["c", "a", "d"]
    assert history.newest.sha256 == "e"


def test_a_revision_that_the_next_one_names_counts_whatever_its_time() -> None:
    (history,) = histories(claims((1, 4, "a", ""), (1, 5, "b", ""), (2, 9, "c", "b"))).values()
    assert {n: s.sha256 for n, s in history.revisions.items()} == {1: "b", 2: "c"}


def test_a_document_that_was_appended_twice_is_one_revision() -> None:
    (history,) = histories(claims((1, 4, "a", ""), (1, 5, "a", ""))).values()
    assert (history.newest.stated_at_us, list(history.void)) == (4, [])


@pytest.mark.parametrize(
    ("erased", "kept"), [("2026-10-01T00:00:00.000", "2026-10"), ("2026-10-01T00:00:00.001", "2026-11")]
)
def test_statements_are_erased_of_months_that_began_before(erased: str, kept: str) -> None:
    at = OCTOBER.start_ms + int(erased[-3:])
    assert first_kept(at) == kept
