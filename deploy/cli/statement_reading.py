"""``msgmetrics statements list``, ``show``, ``diff`` and ``export``: what was stated, and what has changed since."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from tqdm import tqdm

from deploy.cli.arguments import ORG, ORG_ARGUMENT
from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, is_terminal, say
from deploy.cli.statement_patience import patiently
from deploy.cli.statement_standing import Standing, read_standings
from deploy.cli.statement_texts import ANY_PERIOD, PERIOD_ARGUMENT, REVISION, stated_at, table
from deploy.errors import CommandError, Refused
from deploy.terminal import safe_json
from pipeline.clickhouse.store import Store
from pipeline.core.statements.deciding import Order, Refusal, decide, lower_days, read_stated
from pipeline.core.statements.document import (
    Cell,
    Document,
    Malformed,
    Numbers,
    cell_members,
    difference,
    members,
    total,
)
from pipeline.core.statements.history import History, ReadDocuments, Statement
from pipeline.core.statements.steps import NotYet, account_steps, firm_steps
from schemas.period import Period

DOCUMENTS_AT_ONCE = 200


@click.command("list")
@ORG
@ANY_PERIOD
@click.option("--violations", "counts", is_flag=True, help="count events sent with several times of everybody, too")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_obj
def statements_list(context: Context, org: str, period: Period | None, counts: bool, as_json: bool) -> None:
    """List months of organizations: open, stated or final, with their revisions.

    A month is open until it is stated, and final when its facts are not kept any more: no late event changes it. A
    revision that lost against another one of the same number is void. Beside each month stand the dead letters that
    name the organization in it; with --org or --violations also the events that were sent with several times, which
    `reconcile` names. Of everybody that reads every fact of the months.

    \b
    Examples:
      msgmetrics statements list --period 2026-10
      msgmetrics statements list --org acme --json
    """
    with tqdm(unit=" portions", disable=not is_terminal()) as bar:

        def show(doing: str, passed: int, of_all: int) -> None:
            bar.set_description(doing, refresh=False)
            bar.total, bar.n = of_all, passed
            bar.update(0)

        found = with_store(
            context, lambda store, _: read_standings(store, org, period, show if counts or org else None), org=org
        )
    if as_json:
        say(safe_json([standing.as_json() for standing in found]))
        return
    say(*_listed(found))


def _listed(found: list[Standing]) -> list[str]:
    lines = [f"{'organization':<24} {'period':<8} {'state':<16} {'rev':>4} {'stated at':<25} {'cents':>18}  sha256"]
    for s in found:
        newest = s.newest
        columns = f"{s.org_id:<24} {s.period:<8} {s.state:<16}"
        if newest is None:
            lines.append(columns + _notes(s))
            continue
        cents = f"{s.cents or '':>18}"
        lines.append(f"{columns} {newest.revision:>4} {stated_at(newest):<25} {cents}  {newest.sha256[:12]}{_notes(s)}")
        lines += [
            f"{'':<24} {s.period:<8} {'void':<16} {v.revision:>4} {stated_at(v):<25} {'':>18}  {v.sha256[:12]}"
            for v in s.history.void
        ]
    return lines if found else ["nothing is stated, and no month that may still change has numbers"]


def _notes(standing: Standing) -> str:
    notes = [f"{standing.dead_letters} dead letters"] if standing.dead_letters else []
    notes += [f"{standing.violations} events sent with several times"] if standing.violations else []
    return f"  ({', '.join(notes)})" if notes else ""


@click.command("show")
@ORG_ARGUMENT
@PERIOD_ARGUMENT
@REVISION
@click.pass_obj
def statements_show(context: Context, org: str, period: Period, revision: int | None) -> None:
    """Show a revision of ORG's statement of PERIOD as a table.

    \b
    Example:
      msgmetrics statements show acme 2026-10
    """

    def show(store: Store, _: Any) -> list[str]:
        statement, data = read_revision(store, org, period, revision)
        document = parsed(statement, data)
        head = [
            f"{org} {period.name}, revision {statement.revision}, stated {stated_at(statement)}",
            f"sha256    {statement.sha256}",
            f"previous  {document.head.previous or 'none'}",
        ]
        head += ["partial   numbers from before the first rollup are missing"] if document.head.partial else []
        return [*head, "", *table(document.lines, document.total())]

    say(*with_store(context, show, org=org))


@click.command("diff")
@ORG_ARGUMENT
@PERIOD_ARGUMENT
@click.argument("revision", type=click.IntRange(2), required=False)
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_obj
def statements_diff(context: Context, org: str, period: Period, revision: int | None, as_json: bool) -> None:
    """Show an adjustment: REVISION less the one before, or today's numbers less the newest revision.

    The differences of all neighbours add up to the newest revision less the first, so each correction is billed once.
    Exit code 1 when anything differs.

    \b
    Examples:
      msgmetrics statements diff acme 2026-10
      msgmetrics statements diff acme 2026-10 2
    """
    words, changed = with_store(context, lambda store, _: _adjustment(store, org, period, revision), org=org)
    if as_json:
        lines = [{**cell_members(cell), **members(numbers)} for cell, numbers in changed.items()]
        say(safe_json({"org": org, "period": period.name, "lines": lines, "total": members(total(changed))}))
    elif changed:
        say(f"{org} {period.name}: {words}", "", *table(changed, total(changed)))
    else:
        say(f"{org} {period.name}: {words}: nothing")
    sys.exit(1 if changed else 0)


def _adjustment(store: Store, org: str, period: Period, revision: int | None) -> tuple[str, dict[Cell, Numbers]]:
    """An adjustment in words, and its lines."""
    if revision is None:
        return _open_adjustment(store, org, period)
    newer, older = (_read(store, org, period, n) for n in (revision, revision - 1))
    return f"revision {revision} less revision {revision - 1}", difference(newer.lines, older.lines)


def _open_adjustment(store: Store, org: str, period: Period) -> tuple[str, dict[Cell, Numbers]]:
    """Today's numbers less the newest revision. Raises Refused where no revision would be made of them."""
    try:
        known, account = patiently(store, account_steps(period, org))
    except NotYet as error:
        raise Refused(str(error)) from None
    if account.newest is None:
        raise Refused(_none(org, period))
    decision = decide(Order(period, org, adjusts=True, lower=True), known, account)
    if isinstance(decision, Refusal):
        raise Refused(decision.sentence)
    assert account.stated is not None  # else it was refused
    words = f"today's numbers less revision {account.newest.revision}"
    if lower_days(account.lines, account.stated.lines):
        words += "; events were taken away, so that it is only stated with --accept-lower"
    return words, difference(account.lines, account.stated.lines)


def _read(store: Store, org: str, period: Period, revision: int) -> Document:
    return parsed(*read_revision(store, org, period, revision))


def read_revision(store: Store, org: str, period: Period, revision: int | None) -> tuple[Statement, bytes]:
    """A revision, the newest where none is named, that nothing replaces any more, and its bytes. Raises Refused."""
    history: History | None = patiently(store, firm_steps(period.name, org)).get(org)
    if history is None:
        raise Refused(_none(org, period))
    statement = history.newest if revision is None else history.revisions.get(revision)
    if statement is None:
        raise Refused(f"{org} {period.name} has revisions up to {history.newest.revision}, not {revision}")
    documents = store.perform(ReadDocuments((statement,)))
    return statement, documents[statement.sha256]


def documents_of(store: Store, statements: Sequence[Statement]) -> Iterator[tuple[Statement, Mapping[str, bytes]]]:
    """Statements, in order, each beside documents by their hashes of which one is its own, if that is there."""
    for first in range(0, len(statements), DOCUMENTS_AT_ONCE):
        portion = tuple(statements[first : first + DOCUMENTS_AT_ONCE])
        documents = store.perform(ReadDocuments(portion))
        yield from ((statement, documents) for statement in portion)


def _none(org: str, period: Period) -> str:
    return f"nothing of {org} is stated of {period.name}; `msgmetrics statements list` shows what is"


def parsed(statement: Statement, data: bytes) -> Document:
    """A stored document. Raises CommandError where it is not what was written."""
    try:
        return read_stated(statement, {statement.sha256: data})
    except Malformed as error:
        raise CommandError(
            f"the document of {statement.org_id} {statement.period}, revision {statement.revision}, is not what was "
            f"written: {error}; `msgmetrics statements verify` shows all that is wrong"
        ) from None
