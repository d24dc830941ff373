"""``msgmetrics statements import`` and ``erase``: statements that come back, and those that go."""

from collections.abc import Iterable, Iterator
from tempfile import TemporaryFile
from typing import IO, TypeVar

import click

from deploy.cli.arguments import FILE, ORG_ARGUMENT
from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, confirm, say, warn
from deploy.cli.event_file import file_blocks
from deploy.cli.interruption import unfinished
from deploy.cli.statement_patience import Patience
from deploy.errors import Refused, Usage
from pipeline.clickhouse.store import Store
from pipeline.core.effects import ReadErasures, Steps
from pipeline.core.statements.document import Malformed, hash_of, parse, split_documents
from pipeline.core.statements.history import ReadStatements
from pipeline.core.statements.keeping import Exported, Unfit, erase_statements_steps, first_kept, import_steps
from pipeline.repair.lease import run_leased

UNFINISHED = "what was done stays so, and the same command goes on with the rest: it is safe to run it again"
T = TypeVar("T")


@click.command("import")
@click.argument("file", metavar="FILE|-", type=FILE)
@click.pass_obj
def statements_import(context: Context, file: str) -> None:
    """Bring back revisions that were exported, as after a restore from an older backup.

    FILE, or - for stdin, has one document or several, one behind the other, as `export` writes them; it may be
    compressed. Each must follow the revision that it names; one that is there already is left as it is.

    \b
    Example:
      msgmetrics statements import exported.ndjson
    """
    with file_blocks(file) as blocks, TemporaryFile() as kept:
        found = list(read_documents(blocks, kept))

        def read(document: Exported) -> bytes:
            kept.seek(document.start)
            return kept.read(document.size)

        done = with_store(context, lambda store, _: _leased(store, "statements import", import_steps(found, read)))
    say(f"{done.new} revisions imported, {done.known} were there already")


def read_documents(blocks: Iterable[bytes], kept: IO[bytes]) -> Iterator[Exported]:
    """The documents of a file, which are written to ``kept``, one by one. Raises Usage where one is not canonical."""
    number, start = 1, 0
    try:
        for data in split_documents(blocks):
            head = parse(data).head
            kept.write(data)
            yield Exported(head, hash_of(data), start, len(data))
            number, start = number + 1, start + len(data)
    except Malformed as error:
        raise Usage(f"document {number} of the file is no exported statement: {error}") from None
    except OSError as error:
        raise Refused(
            f"no temporary file can keep what is imported ({error.strerror}); TMPDIR names another directory"
        ) from None


@click.command("erase")
@ORG_ARGUMENT
@click.option("--yes", is_flag=True, help="do not ask")
@click.pass_obj
def statements_erase(context: Context, org: str, yes: bool) -> None:
    """Delete the statements of ORG, which `erase` keeps.

    Of months that began before it was erased; no revision of these is made any more. Exported files stay where they
    are, and so do backups.

    \b
    Example:
      msgmetrics statements erase acme
    """
    count = with_store(context, lambda store, _: _erasable(store, org), org=org)
    if count and not yes:
        confirm(f"Delete {count} revisions of {org!r}? They are records that the law may ask for")
    gone, left = with_store(
        context, lambda store, _: _leased(store, f"statements erase {org}", erase_statements_steps(org)), org=org
    )
    kept = f"; {len(left)} of months since it was erased stay" if left else ""
    say(f"deleted {gone} revisions of {org}{kept}")


def _erasable(store: Store, org: str) -> int:
    """Count the revisions that would be deleted."""
    erased_ms = store.perform(ReadErasures()).get(org, 0)
    return sum(s.period < first_kept(erased_ms) for s in store.perform(ReadStatements("", org)))


def _leased(store: Store, name: str, steps: Steps[T]) -> T:
    """Run a protocol under the maintenance lease. Raises Refused where what is asked for does not fit."""
    try:
        with unfinished(UNFINISHED):
            return run_leased(store, name, steps, Patience(), warn)
    except Unfit as error:
        raise Refused(str(error)) from None
