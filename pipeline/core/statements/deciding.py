"""Decides whether an organization's month gets a revision: what a bill rests on must be neither doubled nor taken back.

Pure. A refusal is a sentence with its remedy; ``Reason`` says which rule it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.core.effects import State
from pipeline.core.statements.document import COUNTS, Document, Head, Lines, Malformed, hash_of, parse
from pipeline.core.statements.history import Draft, Statement
from schemas.instant import rfc3339
from schemas.period import Period

NAMED_DAYS = 3


class Reason(StrEnum):
    """A rule by which a revision is refused."""

    ERASED = "the organization was erased since the period began"
    NEVER_CLOSED = "nobody has closed the period"
    BEHIND = "aggregation has not passed the newest revision"
    LOWER = "days have fewer events than were stated"
    BEGINS_BEFORE = "the period begins before the first rollup"
    DIFFERS = "days differ from their hours"
    DAMAGED = "the newest revision's document is not what was written"


@dataclass(frozen=True, slots=True)
class Refusal:
    """No revision is made."""

    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class Unchanged:
    """No revision is needed: the newest one says what is so, or nothing is to be said."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command. Of one organization, or of all with ''. ``adjusts`` also where there is a revision already.

    ``partial`` accepts that numbers from before the first rollup are missing, ``lower`` that numbers are taken back.
    ``differing`` are organizations of which days are known to differ from their hours.
    """

    period: Period
    org_id: str = ""
    adjusts: bool = False
    partial: bool = False
    lower: bool = False
    differing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Known:
    """Facts that are the same for all organizations: the state, the first rollup of anybody (epoch milliseconds; None
    where there is none), whether the period has a statement, and whether one of them is partial."""

    state: State
    first_ms: int | None
    is_closed: bool = False
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """An organization's month as it was found: its lines of today, its newest revision with its document, and the
    instant up to which the organization was erased (0 for never). ``damage`` is what is wrong with the document."""

    org_id: str
    lines: Lines
    newest: Statement | None = None
    stated: Document | None = None
    erased_ms: int = 0
    damage: str = ""


Decision = Draft | Refusal | Unchanged


def decide(order: Order, known: Known, account: Account) -> Decision:
    """The revision to be appended, or why there is none."""
    if account.newest is not None and not order.adjusts:
        return Unchanged()
    if account.newest is None and not account.lines:
        return Unchanged()
    if refusal := _refuse_any(order, account):
        return refusal
    if account.newest is None:
        head = Head(account.org_id, order.period.name, 1, None, _begins_before(order.period, known))
        refusal = _refuse_first(order, known, account)
    elif account.stated is None:
        return _damaged(account.newest, account.damage)
    elif account.stated.lines == account.lines:
        return Unchanged()
    else:
        newest = account.newest
        head = Head(newest.org_id, newest.period, newest.revision + 1, newest.sha256, account.stated.head.partial)
        refusal = _refuse_next(order, known, newest, lower_days(account.lines, account.stated.lines))
    document = Document(head, account.lines).encode()
    return refusal or Draft(head, document, known.state.as_of_ms, known.state.generation)


def _begins_before(period: Period, known: Known) -> bool:
    """Whether numbers may be missing at the beginning of a period."""
    return known.first_ms is None or period.start_ms < known.first_ms


def _refuse_any(order: Order, account: Account) -> Refusal | None:
    """A refusal of the first revision as of any other one."""
    org, period = account.org_id, order.period
    if account.erased_ms > period.start_ms:
        return Refusal(
            Reason.ERASED,
            f"{org} was erased up to {rfc3339(account.erased_ms)}, so numbers of {period.name} are gone: what was "
            "stated stays, and no revision is made of what is left",
        )
    if org in order.differing:
        return Refusal(
            Reason.DIFFERS,
            f"days of {org} differ from their hours; `msgmetrics reconcile --org` shows where, and `msgmetrics "
            "rebuild` mends it",
        )
    return None


def _refuse_first(order: Order, known: Known, account: Account) -> Refusal | None:
    """A refusal of a first revision."""
    org, period = account.org_id, order.period
    if order.adjusts and not known.is_closed:
        return Refusal(
            Reason.NEVER_CLOSED,
            f"nobody has stated {period.name}, so there is nothing to adjust, and all of it would be billed; "
            "`msgmetrics statements close` does that",
        )
    if _begins_before(period, known) and not (order.partial or known.is_partial):
        first = f"it begins {rfc3339(known.first_ms)}" if known.first_ms is not None else "there is none yet"
        return Refusal(
            Reason.BEGINS_BEFORE,
            f"{period.name} begins before the first rollup of this database ({first}), so numbers of {org} may be "
            "missing; restore a backup that has them, or state what there is with --partial",
        )
    return None


def _damaged(newest: Statement, damage: str) -> Refusal:
    return Refusal(
        Reason.DAMAGED,
        f"the document of revision {newest.revision} of {newest.org_id} is not what was written: {damage}. `msgmetrics "
        "statements verify` shows all that is wrong; restore a backup",
    )


def _refuse_next(order: Order, known: Known, newest: Statement, lower: Sequence[str]) -> Refusal | None:
    """A refusal of a further revision, in which numbers of some days are lower."""
    org, as_of_ms, stated_ms = newest.org_id, known.state.as_of_ms, newest.stated_at_ms
    if as_of_ms < stated_ms:
        return Refusal(
            Reason.BEHIND,
            f"aggregation has come to {rfc3339(as_of_ms)}, and revision {newest.revision} of {org} was stated at "
            f"{rfc3339(stated_ms)}; wait until the workers have passed that, as after a restore",
        )
    if lower and not order.lower:
        more = " …" if len(lower) > NAMED_DAYS else ""
        return Refusal(
            Reason.LOWER,
            f"{org} has fewer events of {', '.join(lower[:NAMED_DAYS])}{more} than revision {newest.revision} has, and "
            "no late event takes any away: rollups are missing, as in a database that was emptied, or are still to be "
            "computed. Restore a backup that has them; after a `msgmetrics rebuild` that has mended wrong rows, "
            f"confirm it with `msgmetrics statements adjust {org} --period {newest.period} --accept-lower`",
        )
    return None


def lower_days(lines: Lines, stated: Lines) -> list[str]:
    """Days of which some count is less than was stated. Events only ever come to a day, and costs may be negative."""
    today, then = _counts(lines), _counts(stated)
    return sorted({day for (day, name), count in then.items() if today.get((day, name), 0) < count})


def _counts(lines: Lines) -> dict[tuple[str, str], int]:
    """Counts of days, by day and name, over all channels and error codes."""
    found: dict[tuple[str, str], int] = {}
    for cell, numbers in lines.items():
        for name in COUNTS:
            found[cell.day, name] = found.get((cell.day, name), 0) + getattr(numbers, name)
    return found


def read_stated(newest: Statement, documents: Mapping[str, bytes]) -> Document:
    """The document of a revision, from documents by their hashes. Raises Malformed where it is not what was written."""
    found = documents.get(newest.sha256)
    if found is None or hash_of(found) != newest.sha256:
        raise Malformed("its hash is another one" if found is not None else "it is gone")
    return parse(found)
