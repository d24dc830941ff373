"""Apply the numbered migrations of ``schemas/clickhouse``, once each, and keep a ledger of them.

Every statement is recorded when it is done, so an interrupted migration resumes where it stopped. Two runs at once
do no harm: a statement may be run twice, since a table that is there already counts as made by the other; only of two
that move the rows of a table, the slower one is refused.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.errors import Refused
from deploy.migrations.cluster_ddl import statements_for, views
from deploy.migrations.retention import set_retention
from deploy.migrations.rewrite import Rewrite, rewriting_of
from deploy.migrations.stop import Guard, Unguarded, stopped
from deploy.sql import sql
from pipeline.clickhouse.client import sql as pipeline_sql
from schemas import tables
from schemas.connection import first_line

TABLE_EXISTS = 57
NEEDS_A_STOP = "-- needs a stop"
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: its statements, a checksum over its text, and whether nobody may work meanwhile."""

    number: int
    name: str
    statements: tuple[str, ...]
    checksum: str
    needs_a_stop: bool = False

    def missing(self, done: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
        """The statements that are not among those done, with their places."""
        return [(place, text) for place, text in enumerate(self.statements) if (self.number, place) not in done]


def read_migrations() -> list[Migration]:
    """The migrations that come with this version, in order."""
    folder = files("schemas") / "clickhouse"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [_migration(f.name, f.read_text()) for f in found]


def _migration(name: str, text: str) -> Migration:
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Migration(int(name[:4]), name, _statements(text), checksum, text.startswith(NEEDS_A_STOP))


def _statements(text: str) -> tuple[str, ...]:
    """The statements of a file, without comments."""
    return tuple(s.strip() for s in _COMMENT.sub("", text).split(";") if s.strip())


def ledger_definition(cluster: str = "") -> list[str]:
    """The statements that make the ledger's own table."""
    return [derived for s in _statements(sql("migrations/create_ledger")) for derived in statements_for(s, cluster)]


def migrate(
    client: Client,
    facts_days: int,
    dead_letter_days: int,
    cluster: str = "",
    tell: Callable[[str], None] = lambda _: None,
    listed: Sequence[str] = (),
) -> list[str]:
    """Bring the database up to date. Returns the names of what was applied; raises Refused where it must not.

    On a cluster each statement becomes what deploy/migrations/cluster_ddl.py derives from it; the ledger is the same.
    Also makes the cursors' secret where it is missing, and applies the retention settings; on a cluster makes the
    views over its servers. ``tell`` is told how far that is which takes long. ``listed`` are the topics that workers
    read today, of which one migration has to know.
    """
    for statement in ledger_definition(cluster):
        client.command(statement)
    migrations = read_migrations()
    done = ledger(client)
    _check(migrations, done)
    missing = [m for m in migrations if m.missing(done)]
    guard: Guard = Unguarded()
    with ExitStack() as stack:
        for migration in missing:
            if migration.needs_a_stop and done and isinstance(guard, Unguarded):
                guard = stack.enter_context(stopped(client, migration.name, cluster))
            _apply(client, migration, done, cluster, guard, tell, listed)
    _make_secret(client)
    if cluster:
        make_views(client, cluster)
    set_retention(client, tables.FACTS, "minute", facts_days, cluster)
    set_retention(client, tables.DEAD_LETTERS, "toDateTime(seen_at, 'UTC')", dead_letter_days, cluster)
    return [m.name for m in missing]


def make_views(client: Client, cluster: str) -> None:
    """Make the views over the servers of a cluster, and see that they can be synchronised. Raises Refused."""
    try:
        for view in views(cluster):
            client.command(view)
        client.query(pipeline_sql("state/synchronise"))
    except DatabaseError as error:
        raise Refused(
            f"the servers of {cluster} cannot be synchronised, which takes ClickHouse 25.10 or newer and a connection "
            f"of each to Keeper: {first_line(error)}"
        ) from error


def pending(client: Client) -> list[str]:
    """Names of the migrations that are not applied yet."""
    if not client.command(sql("migrations/has_ledger")):
        return [m.name for m in read_migrations()]
    done = ledger(client)
    return [m.name for m in read_migrations() if m.missing(done)]


def half_applied(client: Client) -> list[str]:
    """Names of the migrations that have begun and not ended."""
    done = ledger(client)
    return [m.name for m in read_migrations() if 0 < len(m.missing(done)) < len(m.statements)]


def ledger(client: Client) -> dict[tuple[int, int], tuple[str, str]]:
    """The statements that were run, (number of the migration, place in it) to (name of the migration, checksum)."""
    rows = client.query(sql("migrations/ledger")).result_rows
    return {(number, statement): (name, checksum) for number, statement, name, checksum in rows}


def _check(migrations: Sequence[Migration], done: dict[tuple[int, int], tuple[str, str]]) -> None:
    known = {m.number: m for m in migrations}
    for (number, _), (name, checksum) in done.items():
        if number not in known:
            raise Refused(f"the database has migration {name}, which this version does not know; use a newer version")
        if known[number].checksum != checksum:
            raise Refused(f"migration {name} was changed after it was applied; restore it and add a new one instead")


def _apply(
    client: Client,
    migration: Migration,
    done: Collection[tuple[int, int]],
    cluster: str,
    guard: Guard,
    tell: Callable[[str], None],
    listed: Sequence[str],
) -> None:
    for index, statement in migration.missing(done):
        guard.renew()
        if wanted := rewriting_of(statement):
            Rewrite(client, wanted, migration.number, cluster, guard, tell).run()
        else:
            for derived in statements_for(statement, cluster):
                _run(client, derived, listed)
        row: list[Any] = [migration.number, index, migration.name, migration.checksum]
        client.insert(tables.MIGRATIONS, [row], column_names=["number", "statement", "name", "checksum"])


def _run(client: Client, statement: str, listed: Sequence[str]) -> None:
    try:
        client.command(statement, parameters={"listed": list(listed)} if "{listed:" in statement else {})
    except DatabaseError as error:
        if error.code != TABLE_EXISTS:
            raise


def _make_secret(client: Client) -> None:
    found = client.query(sql("migrations/count_secrets"), parameters={"name": tables.CURSOR_SECRET}).result_rows[0][0]
    if not found:
        row = [tables.CURSOR_SECRET, secrets.token_hex(32)]
        client.insert(tables.SECRETS, [row], column_names=["name", "value"])
