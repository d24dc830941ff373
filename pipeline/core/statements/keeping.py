"""Statements that are imported, and those that are erased: decisions, and the protocols around them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pipeline.core.effects import AwaitInserts, Erasures, ReadErasures, ReadInserts, Steps, Synchronise, UnderWay
from pipeline.core.statements.document import Head
from pipeline.core.statements.history import (
    AppendStatements,
    Draft,
    EraseStatements,
    History,
    ReadStatements,
    Statement,
)
from pipeline.core.statements.steps import batches, firm_steps
from schemas.grain import MS_PER_SECOND
from schemas.period import month_of


class Unfit(Exception):
    """An import or an erasure does not fit the statements that are there; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Counts of revisions: imported, and there already."""

    new: int
    known: int


@dataclass(frozen=True, slots=True)
class Exported:
    """A document to be imported, without its bytes: its head, its hash, and where and how long it is in its file."""

    head: Head
    sha256: str
    start: int = 0
    size: int = 0


def import_steps(documents: Iterable[Exported], read: Callable[[Exported], bytes]) -> Steps[Imported]:
    """Append revisions that are not there, each behind the one that it names. Raises Unfit; nothing is done then.

    ``read`` answers a document's bytes: those of many years do not fit into memory.
    """
    by_period: dict[str, dict[str, Exported]] = {}
    for document in documents:
        by_period.setdefault(document.head.period, {})[document.sha256] = document
    new, known = list[Exported](), 0
    for period, theirs in sorted(by_period.items()):
        stated = yield from firm_steps(period)
        hashes = {org: _hashes(history) for org, history in stated.items()}
        for document in sorted(theirs.values(), key=lambda document: (document.head.org, document.head.revision)):
            mine = hashes.setdefault(document.head.org, {})
            if _is_there(document, mine):
                known += 1
            else:
                mine[document.head.revision] = document.sha256
                new.append(document)
    for batch in batches(Draft(document.head, read(document)) for document in new):
        yield AppendStatements(batch)
    return Imported(len(new), known)


def _hashes(history: History) -> dict[int, str]:
    return {revision: statement.sha256 for revision, statement in history.revisions.items()}


def _is_there(document: Exported, hashes: Mapping[int, str]) -> bool:
    """Whether a revision is there already. Raises Unfit where another one is, or where the one before is missing."""
    head = document.head
    name = f"revision {head.revision} of {head.org} {head.period}"
    if head.revision in hashes:
        if hashes[head.revision] != document.sha256:
            raise Unfit(
                f"{name} is another document here, sha256 {hashes[head.revision]}, than in the file, "
                f"{document.sha256}: one of the two was billed, or both. Nothing was imported; `msgmetrics statements "
                "show` shows the one here"
            )
        return True
    if head.previous is not None and hashes.get(head.revision - 1) != head.previous:
        there = "another document here" if head.revision - 1 in hashes else "not here"
        raise Unfit(
            f"{name} follows the one with sha256 {head.previous}, and revision {head.revision - 1} is {there}; import "
            "all revisions, nothing was imported"
        )
    return False


def erase_statements_steps(org_id: str) -> Steps[tuple[int, tuple[Statement, ...]]]:
    """Delete an organization's statements of periods that began before it was erased: of these no revision is made any
    more, so nothing is billed again. Returns how many, and those that are left. Raises Unfit where it was not erased.
    """
    yield Synchronise()
    erasures: Erasures = yield ReadErasures()
    erased_ms = erasures.get(org_id, 0)
    if not erased_ms:
        raise Unfit(
            f"{org_id} was not erased, so its months could be stated, and billed, once more; `msgmetrics erase` comes "
            "first"
        )
    under_way: UnderWay = yield ReadInserts()
    have_ended = False
    while not have_ended:
        have_ended = yield AwaitInserts(under_way)
    yield Synchronise()
    before: tuple[Statement, ...] = yield ReadStatements("", org_id)
    yield EraseStatements(org_id, first_kept(erased_ms))
    yield Synchronise()
    left: tuple[Statement, ...] = yield ReadStatements("", org_id)
    return len(before) - len(left), left


def first_kept(erased_ms: int) -> str:
    """The first month that begins at or after an erasure."""
    month = month_of(erased_ms // MS_PER_SECOND)
    return month.name if month.start_ms >= erased_ms else month.after.name
