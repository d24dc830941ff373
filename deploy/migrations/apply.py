"""Apply the numbered migrations of ``schemas/clickhouse``, once each, and keep a ledger of them.

Every statement is recorded when it is done, so an interrupted migration resumes where it stopped. Two runs at once
do no harm: each statement is idempotent, since a table that is there already counts as made by the other.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.errors import Refused
from deploy.migrations.cluster_ddl import statements_for
from deploy.sql import sql
from schemas import tables
from schemas.grain import Grain
from schemas.sharding import alter_target, local_name

TABLE_EXISTS = 57
_COMMENT = re.compile(r"--[^\n]*")
_TTL_DAYS = re.compile(r"TTL\s+(?:\S+|toDateTime\([^)]*\))\s*\+\s*toIntervalDay\((\d+)\)")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: its statements, and a checksum over its text."""

    number: int
    name: str
    statements: tuple[str, ...]
    checksum: str


def read_migrations() -> list[Migration]:
    """The migrations that come with this version, in order."""
    folder = files("schemas") / "clickhouse"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [_migration(f.name, f.read_text()) for f in found]


def _migration(name: str, text: str) -> Migration:
    return Migration(int(name[:4]), name, _statements(text), hashlib.sha256(text.encode()).hexdigest())


def _statements(text: str) -> tuple[str, ...]:
    """The statements of a file, without comments."""
    return tuple(s.strip() for s in _COMMENT.sub("", text).split(";") if s.strip())


def ledger_definition(cluster: str = "") -> list[str]:
    """The statements that make the ledger's own table."""
    return [derived for s in _statements(sql("migrations/create_ledger")) for derived in statements_for(s, cluster)]


def migrate(client: Client, facts_days: int, dead_letter_days: int, cluster: str = "") -> list[str]:
    """Bring the database up to date. Returns the names of what was applied; raises Refused where it must not.

    On a cluster each statement becomes what deploy/migrations/cluster_ddl.py derives from it; the ledger is the same.
    Also makes the cursors' secret where it is missing, and applies the retention settings.
    """
    for statement in ledger_definition(cluster):
        client.command(statement)
    migrations = read_migrations()
    done = _ledger(client)
    _check(migrations, done)
    applied = [m.name for m in migrations if _apply(client, m, {s for n, s in done if n == m.number}, cluster)]
    _make_secret(client)
    _set_retention(client, tables.FACTS, "minute", facts_days, cluster)
    _set_retention(client, tables.DEAD_LETTERS, "toDateTime(seen_at, 'UTC')", dead_letter_days, cluster)
    return applied


def pending(client: Client) -> list[str]:
    """Names of the migrations that are not applied yet."""
    if not client.command(sql("migrations/has_ledger")):
        return [m.name for m in read_migrations()]
    done = _ledger(client)
    return [m.name for m in read_migrations() if any((m.number, i) not in done for i in range(len(m.statements)))]


def _ledger(client: Client) -> dict[tuple[int, int], tuple[str, str]]:
    rows = client.query(sql("migrations/ledger")).result_rows
    return {(number, statement): (name, checksum) for number, statement, name, checksum in rows}


def _check(migrations: Sequence[Migration], done: dict[tuple[int, int], tuple[str, str]]) -> None:
    known = {m.number: m for m in migrations}
    for (number, _), (name, checksum) in done.items():
        if number not in known:
            raise Refused(f"the database has migration {name}, which this version does not know; use a newer version")
        if known[number].checksum != checksum:
            raise Refused(f"migration {name} was changed after it was applied; restore it and add a new one instead")


def _apply(client: Client, migration: Migration, done: set[int], cluster: str) -> bool:
    for index, statement in _missing(migration, done):
        for derived in statements_for(statement, cluster):
            _run(client, derived)
        row: list[Any] = [migration.number, index, migration.name, migration.checksum]
        client.insert(tables.MIGRATIONS, [row], column_names=["number", "statement", "name", "checksum"])
    return len(done) < len(migration.statements)


def _run(client: Client, statement: str) -> None:
    try:
        client.command(statement)
    except DatabaseError as error:
        if error.code != TABLE_EXISTS:
            raise


def _missing(migration: Migration, done: set[int]) -> Iterator[tuple[int, str]]:
    return ((i, s) for i, s in enumerate(migration.statements) if i not in done)


def _make_secret(client: Client) -> None:
    found = client.query(sql("migrations/count_secrets"), parameters={"name": tables.CURSOR_SECRET}).result_rows[0][0]
    if not found:
        row = [tables.CURSOR_SECRET, secrets.token_hex(32)]
        client.insert(tables.SECRETS, [row], column_names=["name", "value"])


def _set_retention(client: Client, table: str, column: str, days: int, cluster: str) -> None:
    """Set a table's TTL. First raise the floor of facts by the old TTL, which may have dropped some."""
    found = client.query(sql("migrations/table_definition"), parameters={"table": local_name(table, cluster)})
    match = _TTL_DAYS.search(found.result_rows[0][0])
    if match and int(match[1]) == days:
        return
    if match and table == tables.FACTS:
        floor = {"margin": Grain.HOUR.seconds, "days": int(match[1])}
        client.command(sql("migrations/raise_facts_floor"), parameters=floor)
    # In Python, since a TTL and ON CLUSTER take no parameters; a name comes from the code, the days are an int.
    client.command(f"ALTER TABLE {alter_target(table, cluster)} MODIFY TTL {column} + toIntervalDay({int(days)})")
