"""``msgmetrics statements export``: the bytes of documents, for whoever keeps them elsewhere."""

from collections.abc import Iterator

import click

from deploy.cli.arguments import ANY_ORG_ARGUMENT
from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, say_bytes
from deploy.cli.statement_reading import parsed, read_revision
from deploy.cli.statement_texts import ANY_PERIOD, PERIOD, REVISION, as_csv
from deploy.errors import Usage
from pipeline.clickhouse.store import Store
from pipeline.core.statements.history import ReadDocuments, ReadStatements
from pipeline.core.statements.steps import firm_steps
from pipeline.runner import drive
from schemas.period import Period

DOCUMENTS_AT_ONCE = 200


@click.command("export")
@ANY_ORG_ARGUMENT
@click.argument("month", metavar="[PERIOD]", type=PERIOD, required=False)
@click.option("--all", "of_all", is_flag=True, help="every revision of every organization, one behind the other")
@ANY_PERIOD
@REVISION
@click.option(
    "--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True, help="form"
)
@click.pass_obj
def statements_export(
    context: Context,
    org: str,
    month: Period | None,
    of_all: bool,
    period: Period | None,
    revision: int | None,
    form: str,
) -> None:
    """Write a revision of ORG's statement of PERIOD to stdout.

    As NDJSON its very bytes, of which the hash is known; as CSV its lines. With --all every revision there is, of one
    month with --period: to be kept elsewhere, and to be imported after a restore.

    \b
    Examples:
      msgmetrics statements export acme 2026-10
      msgmetrics statements export acme 2026-10 --revision 1 --format csv
      msgmetrics statements export --all --period last
    """
    if of_all and not (org or month or revision or form != "ndjson"):

        def export(store: Store) -> None:
            for document in every_document(store, period.name if period else ""):
                say_bytes(document)

        with_store(context, lambda store, _: export(store))
    elif org and month and not (of_all or period):
        statement, data = with_store(context, lambda store, _: read_revision(store, org, month, revision), org=org)
        say_bytes(data if form == "ndjson" else as_csv(parsed(statement, data)).encode())
    else:
        raise Usage("say what to export: an organization and a month, or --all, as NDJSON")


def every_document(store: Store, period: str) -> Iterator[bytes]:
    """The documents of all revisions that count, those of an organization's month one behind the other; '' for every
    month. Waits until they are firm."""
    for name in [period] if period else sorted({s.period for s in store.perform(ReadStatements())}):
        stated = drive(firm_steps(name), store.perform)
        revisions = [h.revisions[n] for _, h in sorted(stated.items()) for n in sorted(h.revisions)]
        for first in range(0, len(revisions), DOCUMENTS_AT_ONCE):
            portion = tuple(revisions[first : first + DOCUMENTS_AT_ONCE])
            documents = store.perform(ReadDocuments(portion))
            yield from (documents[s.sha256] for s in portion)
