"""The protocol of `close` and `adjust`: read what is stated, how far aggregation is, the days, who was erased; append.

::

    firm statements ── as_of ── days ── erasures ── decide ── append ── look who won

What is stated comes first, so that the number of the next revision is older than its numbers: whoever is overtaken
meanwhile collides with the revision that overtook, and is void, where otherwise older days would follow newer ones. The
days are read after `as_of`, so they have numbers. Erasures are read after the days: an erasure is ordered before it
deletes, so days from which something is gone are known by it. Two commands at once may append the same revision; the
earlier one counts, and what the other saw comes with the next adjustment. So nothing is billed twice, whoever crashes
or runs beside whom.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.core.effects import AwaitInserts, Erasures, ReadErasures, ReadState, State, Steps, Synchronise, UnderWay
from pipeline.core.statements.deciding import (
    Account,
    Decision,
    Known,
    Order,
    Refusal,
    Unchanged,
    decide,
    read_stated,
)
from pipeline.core.statements.document import Malformed
from pipeline.core.statements.history import (
    AppendStatements,
    Draft,
    History,
    LinesByOrganization,
    ReadDocuments,
    ReadLines,
    ReadRestored,
    ReadStatable,
    ReadStatements,
    ReadStating,
    Statable,
    Statement,
    histories,
)
from schemas.instant import rfc3339
from schemas.period import Period

LINES_A_PORTION = 50_000
ORGANIZATIONS_A_PORTION = 300
"""Their ids are one parameter of a statement, of which ClickHouse takes 128 KiB: so many of 64 characters, each of four
bytes, fit in."""
BYTES_AN_INSERT = 16 << 20
"""An insert of no more is one block, which is stored as a whole or not at all."""


class NotYet(Exception):
    """Nothing of the period may be stated now; the text says until when."""


@dataclass(frozen=True, slots=True)
class Appended:
    """A revision was appended: the hash of its document, and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome for an organization, and the newest revision that counts by now."""

    org_id: str
    outcome: Appended | Refusal | Unchanged
    newest: Statement | None

    @property
    def is_stated(self) -> bool:
        """Whether this command has made the newest revision."""
        made = self.outcome
        return isinstance(made, Appended) and self.newest is not None and self.newest.sha256 == made.sha256


Histories = Mapping[str, History]
"""By organization, of one period."""


def state_steps(order: Order) -> Steps[tuple[Result, ...]]:
    """Close or adjust a period. Raises NotYet."""
    period = order.period
    stated = yield from firm_steps(period.name, order.org_id)
    known, sizes = yield from _known_steps(period, order.org_id)
    orgs = {order.org_id} if order.org_id else {*sizes, *stated}
    outcomes: dict[str, Appended | Refusal | Unchanged] = {}
    for portion in portions({org: sizes.get(org, 0) for org in sorted(orgs)}):
        accounts = yield from _account_steps(period, portion, stated)
        made = {account.org_id: decide(order, known, account) for account in accounts}
        for drafts in batches(d for d in made.values() if isinstance(d, Draft)):
            yield AppendStatements(drafts)
        outcomes |= {org: _outcome(decision) for org, decision in made.items()}
    after = yield from read_steps(period.name, order.org_id)
    return tuple(Result(org, made, after[org].newest if org in after else None) for org, made in outcomes.items())


def _outcome(decision: Decision) -> Appended | Refusal | Unchanged:
    """The outcome of a decision, without the document: those of a month may not fit into memory."""
    return Appended(decision.sha256, len(decision.document)) if isinstance(decision, Draft) else decision


def account_steps(period: Period, org_id: str) -> Steps[tuple[Known, Account]]:
    """An organization's account, as the next revision would see it. Raises NotYet."""
    stated = yield from firm_steps(period.name, org_id)
    known, _ = yield from _known_steps(period, org_id)
    (account,) = yield from _account_steps(period, (org_id,), stated)
    return known, account


def _known_steps(period: Period, org_id: str) -> Steps[tuple[Known, Mapping[str, int]]]:
    """Facts about a period, and how many lines organizations have. Raises NotYet."""
    restored_ms: int = yield ReadRestored()
    if restored_ms:
        raise NotYet(
            f"this database was restored from a backup at {rfc3339(restored_ms)}, and what was stated after that "
            "backup was made is not in it, so it might be billed again. Import what was exported since with "
            "`msgmetrics statements import`, then go on with `msgmetrics statements resume`"
        )
    state: State = yield ReadState()
    if state.as_of_ms < period.end_ms:
        raise NotYet(
            f"{period.name} ends at {rfc3339(period.end_ms)}, and as_of is {rfc3339(state.as_of_ms) or 'not set'}: "
            "wait until aggregation has passed the end"
        )
    yield Synchronise()
    statable: Statable = yield ReadStatable(period, org_id)
    anybody: tuple[Statement, ...] = yield ReadStatements(period.name)
    is_partial = any(statement.partial for statement in anybody)
    return Known(state, statable.first_ms, bool(anybody), is_partial), statable.lines


def _account_steps(period: Period, orgs: tuple[str, ...], stated: Histories) -> Steps[list[Account]]:
    """Accounts of organizations as they are now, but for what was stated."""
    lines: LinesByOrganization = yield ReadLines(period, orgs)
    yield Synchronise()
    erasures: Erasures = yield ReadErasures()
    newest = {org: stated[org].newest for org in orgs if org in stated}
    documents: Mapping[str, bytes] = yield ReadDocuments(tuple(newest.values()))
    return [
        Account(org, lines.get(org, {}), erased_ms=erasures.get(org, 0), **_stated(newest.get(org), documents))
        for org in orgs
    ]


def _stated(newest: Statement | None, documents: Mapping[str, bytes]) -> dict[str, Any]:
    """The part of an account that is about its newest revision."""
    if newest is None:
        return {}
    try:
        return {"newest": newest, "stated": read_stated(newest, documents)}
    except Malformed as error:
        return {"newest": newest, "damage": str(error)}


def read_steps(period: str, org_id: str = "") -> Steps[Histories]:
    """Histories of a period as they are, though what is newest may be replaced yet."""
    yield Synchronise()
    found: tuple[Statement, ...] = yield ReadStatements(period, org_id)
    return {org: history for (org, _), history in histories(found).items()}


def firm_steps(period: str, org_id: str = "") -> Steps[Histories]:
    """Histories of which no revision is replaced any more.

    A revision that was there before is firm when the inserts have ended that were under way then: one that begins later
    is later by its time, too.
    """
    before: Histories | None = None
    while True:
        found = yield from read_steps(period, org_id)
        if before is not None and _are_the_same(found, before):
            return found
        newest_us = max((s.stated_at_us for h in found.values() for s in h.revisions.values()), default=0)
        under_way: UnderWay = yield ReadStating(newest_us)
        have_ended = False
        while not have_ended:
            have_ended = yield AwaitInserts(under_way)
        before = found


def _are_the_same(found: Histories, before: Histories) -> bool:
    """Whether every revision that counts was one before."""
    return all(
        org in before and history.revisions.keys() <= before[org].revisions.keys() for org, history in found.items()
    )


def portions(sizes: Mapping[str, int]) -> Iterator[tuple[str, ...]]:
    """Organizations, in order, so that a portion has ORGANIZATIONS_A_PORTION and LINES_A_PORTION at most, or is one."""
    portion, held = list[str](), 0
    for org, size in sizes.items():
        if portion and (held + size > LINES_A_PORTION or len(portion) == ORGANIZATIONS_A_PORTION):
            yield tuple(portion)
            portion, held = [], 0
        portion.append(org)
        held += size
    if portion:
        yield tuple(portion)


def batches(drafts: Iterable[Draft]) -> Iterator[tuple[Draft, ...]]:
    """Drafts, in order, so that those of a batch have BYTES_AN_INSERT at most, or are one."""
    batch, held = list[Draft](), 0
    for draft in drafts:
        if batch and held + len(draft.document) > BYTES_AN_INSERT:
            yield tuple(batch)
            batch, held = [], 0
        batch.append(draft)
        held += len(draft.document)
    if batch:
        yield tuple(batch)
