"""``msgmetrics statements verify``: proves that every document is what was written, and that revisions are a chain."""

import sys
from collections.abc import Iterator, Mapping

import click

from deploy.cli.arguments import ORG
from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, say
from deploy.cli.statement_reading import documents_of
from deploy.cli.statement_texts import ANY_PERIOD
from pipeline.clickhouse.store import Store
from pipeline.core.statements.deciding import read_stated
from pipeline.core.statements.document import Head, Malformed
from pipeline.core.statements.history import History, ReadStatements, Statement, histories
from schemas.period import Period


@click.command("verify")
@ORG
@ANY_PERIOD
@click.pass_obj
def statements_verify(context: Context, org: str, period: Period | None) -> None:
    """Prove that statements are as they were written.

    For every revision: the document has the hash that is stored, is canonical, is about what its row says, and its
    totals are the sum of its lines; it names the hash of the revision before; and no revision is missing. Exit code 1
    when anything is wrong.

    \b
    Example:
      msgmetrics statements verify --org acme
    """
    count, problems = with_store(context, lambda store, _: verify(store, org, period.name if period else ""), org=org)
    say(*problems, f"{count} revisions, {len(problems)} problems")
    sys.exit(1 if problems else 0)


def verify(store: Store, org: str, period: str) -> tuple[int, list[str]]:
    """Count revisions, and say what is wrong with them."""
    found = histories(store.perform(ReadStatements(period, org)))
    revisions = [s for history in found.values() for s in history.revisions.values()]
    problems = [problem for history in found.values() for problem in _broken_chain(history)]
    for statement, documents in documents_of(store, revisions):
        problems += _wrong_document(statement, documents)
    return len(revisions), problems


def _name(statement: Statement) -> str:
    return f"{statement.org_id} {statement.period}, revision {statement.revision}"


def _broken_chain(history: History) -> Iterator[str]:
    revisions = history.revisions
    for number in range(1, max(revisions) + 1):
        if number not in revisions:
            yield f"{history.newest.org_id} {history.newest.period}: revision {number} is missing"
            continue
        before = revisions.get(number - 1)
        if before is not None and revisions[number].previous != before.sha256:
            yield f"{_name(revisions[number])} follows {revisions[number].previous or 'none'}, not {before.sha256}"


def _wrong_document(statement: Statement, documents: Mapping[str, bytes]) -> Iterator[str]:
    try:
        head = read_stated(statement, documents).head
    except Malformed as error:
        yield f"{_name(statement)} is not what was written: {error}"
        return
    s = statement
    if head != Head(s.org_id, s.period, s.revision, s.previous or None, s.partial):
        yield f"{_name(statement)} has a document about {head.org} {head.period}, revision {head.revision}"
