"""``msgmetrics statements export``: the bytes of documents, for whoever keeps them elsewhere."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

from deploy.cli.arguments import ANY_ORG_ARGUMENT, FILE
from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, OutputLost, say_bytes
from deploy.cli.event_file import STANDARD_INPUT
from deploy.cli.statement_patience import patiently
from deploy.cli.statement_reading import documents_of, parsed, read_revision
from deploy.cli.statement_texts import ANY_PERIOD, PERIOD, REVISION, as_csv
from deploy.errors import Refused, Usage
from pipeline.clickhouse.store import Store
from pipeline.core.statements.history import ReadRestored, ReadStatements
from pipeline.core.statements.steps import firm_steps
from schemas.instant import rfc3339
from schemas.period import Period


@click.command("export")
@ANY_ORG_ARGUMENT
@click.argument("month", metavar="[PERIOD]", type=PERIOD, required=False)
@click.option("--all", "of_all", is_flag=True, help="every revision of every organization, one behind the other")
@ANY_PERIOD
@REVISION
@click.option(
    "--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True, help="form"
)
@click.option("--out", type=FILE, default="-", help="a file, replaced once all is written [stdout]")
@click.pass_obj
def statements_export(
    context: Context,
    org: str,
    month: Period | None,
    of_all: bool,
    period: Period | None,
    revision: int | None,
    form: str,
    out: str,
) -> None:
    """Write a revision of ORG's statement of PERIOD.

    As NDJSON its very bytes, of which the hash is known; as CSV its lines. With --all every revision there is, of one
    month with --period: to be kept elsewhere, and to be imported after a restore; until `resume` it is refused, since
    it would lack what is to be imported.

    \b
    Examples:
      msgmetrics statements export acme 2026-10
      msgmetrics statements export acme 2026-10 --revision 1 --format csv
      msgmetrics statements export --all --out statements.ndjson
    """
    if of_all and not (org or month or revision or form != "ndjson"):
        with_store(context, lambda store, _: _write(out, every_document(store, period.name if period else "")))
    elif org and month and not (of_all or period):
        statement, data = with_store(context, lambda store, _: read_revision(store, org, month, revision), org=org)
        document = parsed(statement, data)
        _write(out, [data if form == "ndjson" else as_csv(document).encode()])
    else:
        raise Usage("say what to export: an organization and a month, or --all, as NDJSON")


def _write(name: str, parts: Iterable[bytes]) -> None:
    """Write to stdout, or to a file that is as it was until everything is written. Raises OutputLost."""
    if name == STANDARD_INPUT:
        for part in parts:
            say_bytes(part)
        return
    out = Path(name)
    try:
        with NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
            try:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, out)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise OutputLost(f"{out} cannot be written ({error.strerror}); it is as it was") from None


def every_document(store: Store, period: str) -> Iterator[bytes]:
    """The documents of all revisions that count, those of an organization's month one behind the other; '' for every
    month. Waits until they are firm. Raises Refused where some may be missing, and CommandError where one is damaged.
    """
    if restored_ms := store.perform(ReadRestored()):
        raise Refused(
            f"this database was restored from a backup at {rfc3339(restored_ms)}, and what was stated after that is "
            "not in it; import what you exported then, and say `msgmetrics statements resume`"
        )
    for name in [period] if period else sorted({s.period for s in store.perform(ReadStatements())}):
        stated = patiently(store, firm_steps(name))
        revisions = [h.revisions[n] for _, h in sorted(stated.items()) for n in sorted(h.revisions)]
        for statement, documents in documents_of(store, revisions):
            parsed(statement, documents.get(statement.sha256, b""))
            yield documents[statement.sha256]
