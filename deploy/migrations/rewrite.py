"""Moves the rows of a table to one with another sort key, which ClickHouse cannot change.

A migration asks for it in the words ``REWRITE TABLE name BY column``, followed by what stands behind ``CREATE TABLE
name`` and ends with settings; ``column`` is a time that the old table's rows are spread over. Lines ``FILLING new WITH
expression`` in between (its further lines are indented) say what a column that the old table lacks gets, from the
columns that it has; otherwise it gets its default.

::

    make NAME_0007 ── rename NAME to NAME_before_0007 ── rename NAME_0007 to NAME ── move the rows

Each step is seen by which tables are there, so that an interrupted rewriting goes on where it stopped. Of two that run
at once, which the maintenance lease does not exclude, the slower one is refused: so the emptied NAME_before_0007 stays,
for otherwise it could rename the new table away. That has its name before a row is moved, so whatever is inserted
meanwhile is in it, and no row is left behind. Rows are moved slice by slice, partition by partition; a partition is
dropped once it is moved, so that the disk need not hold everything twice. A slice that is moved again changes nothing,
since both tables replace rows by their identity.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.errors import Refused
from deploy.migrations.cluster_ddl import spanning_table, stored_table
from deploy.migrations.retention import definition_of, ttl_days, with_ttl_days
from deploy.migrations.stop import Guard
from deploy.sql import sql
from schemas.sharding import LOCAL, SHARDED, everywhere

SLICE_BYTES, SLICE_ROWS = 256 << 20, 4_000_000
"""One statement moves about so much at the most, so that it ends well within its time limit."""
STEP_SECONDS = 10
"""A slice is cut at a multiple of this."""
OVERTAKEN = (57, 60)
"""ClickHouse has a table of the new name already, or none of the old one."""
UNKNOWN_ROW_BYTES = 4096
"""Taken where the rows are on other servers than the one that is asked."""
_SORTED_BY = re.compile(r"ORDER BY \(([^()]*)\)", re.ASCII)
_WORDS = re.compile(r"REWRITE TABLE (\w+) BY (\w+)\s+((?:FILLING .*\n(?:[ \t]+.*\n)*)*)(?=\()", re.ASCII)
_FILLING = re.compile(r"^FILLING (\w+) WITH\s+((?:.*\n)(?:[ \t]+.*\n)*)", re.ASCII | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A table that is to get another layout: its name, the time that slices go by, and its definition.

    ``filled`` are (new column, expression over the old ones).
    """

    table: str
    column: str
    definition: str
    filled: tuple[tuple[str, str], ...] = ()


def rewriting_of(statement: str) -> Rewriting | None:
    """The rewriting that a statement asks for, or None."""
    found = _WORDS.match(statement)
    if found is None:
        return None
    filled = tuple((column, " ".join(expression.split())) for column, expression in _FILLING.findall(found[3]))
    return Rewriting(found[1], found[2], statement[found.end() :], filled)


Slice = tuple[int, int, int]
"""A span [start, end) in epoch seconds, and the number of parts that it is moved in."""


def slices(steps: Iterable[tuple[int, int]], most: int) -> Iterator[Slice]:
    """Cut steps, (start, rows) in ascending order, into spans of at most so many rows; a span of one step may have
    more, and is moved in several parts.
    """
    first = last = rows = 0
    for start, count in steps:
        if rows and rows + count > most:
            yield first, last, -(-rows // most)
            rows = 0
        first = start if not rows else first
        last, rows = start + STEP_SECONDS, rows + count
    if rows:
        yield first, last, -(-rows // most)


class Rewrite:
    """One rewriting on a database. ``tell`` is told of every partition that was moved."""

    def __init__(
        self, client: Client, wanted: Rewriting, number: int, cluster: str, guard: Guard, tell: Callable[[str], None]
    ) -> None:
        self._client, self._wanted, self._cluster, self._guard, self._tell = client, wanted, cluster, guard, tell
        self._key = SHARDED.get(wanted.table) if cluster else None
        self._now, self._before = wanted.table, f"{wanted.table}_before_{number:04}"
        self._made = f"{wanted.table}_{number:04}"  # on a cluster the name stays in the path of its replicas

    def run(self) -> None:
        """Do what is left of it."""
        if not self._is_there(self._before):
            if self._is_sorted_as_wanted():  # facts that were restored alone
                return
            self._make()
            self._check_columns()
            self._rename(self._now, self._before)
        if not self._is_there(self._now):
            self._rename(self._made, self._now)
        self._span()
        self._guard.await_inserts(self._now)  # what began before the old table was renamed still goes there
        while partitions := [
            str(partition) for (partition,) in self._rows("migrations/partitions", table=self._before)
        ]:
            for number, partition in enumerate(partitions, 1):
                self._move(partition)
                self._tell(f"{self._now}: {number} of {len(partitions)} partitions are moved")
        self._change(self._now, "RESET SETTING fsync_after_insert, fsync_part_directory")

    def _make(self) -> None:
        """Make the new table, with the retention of the old one: it must not drop what that has kept.

        Its rows are on the disk when an insert is answered, since what they were copied from is dropped.
        """
        days = ttl_days(definition_of(self._client, self._stored(self._now)))
        body = f" {with_ttl_days(self._wanted.definition, days)}, fsync_after_insert = 1, fsync_part_directory = 1"
        name, key = f"IF NOT EXISTS {self._stored(self._made)}", SHARDED.get(self._now)
        plain = f"CREATE TABLE {name}{body}"
        self._run(stored_table(name, body, key, self._cluster) if self._cluster else plain)

    def _check_columns(self) -> None:
        """Raises Refused where the old table has a column that the new one lacks, which would be lost in silence."""
        between = {"old": self._stored(self._now), "new": self._stored(self._made)}
        if lost := [str(name) for (name,) in self._rows("migrations/lost_columns", **between)]:
            raise Refused(
                f"{self._now} has columns that are not ours ({', '.join(lost)}), and would lose them; keep them "
                f"elsewhere, drop them (ALTER TABLE {between['old']} DROP COLUMN …) and migrate again"
            )

    def _span(self) -> None:
        """On a cluster, make the tables over those of all shards anew, since the columns have changed."""
        for name in (self._now, self._before) if self._key else ():
            self._run(spanning_table("CREATE OR REPLACE TABLE ", name, str(self._key), self._cluster))

    def _move(self, partition: str) -> None:
        columns = self._rows("migrations/common_columns", old=self._stored(self._before), new=self._stored(self._now))
        # In Python, since columns and ON CLUSTER take no parameters; the names come from ClickHouse and the migration.
        named, filled = [f"`{name}`" for (name,) in columns], self._wanted.filled
        copy = sql("migrations/move_rows").replace("COLUMNS", ", ".join([*named, *(column for column, _ in filled)]))
        copy = copy.replace("VALUES", ", ".join([*named, *(expression for _, expression in filled)]))
        copy = copy.replace("KEY", self._sorted_by(self._before))
        if filled:  # else each shard runs it, and would look into its own copy of a small table
            copy += "SETTINGS parallel_distributed_insert_select = 0"
        where = {"old": self._before, "new": self._now, "column": self._wanted.column, "partition": partition}
        for start, end, parts in slices(self._steps(partition), self._rows_a_slice()):
            for part in range(parts):
                span = {"start": start, "end": end, "parts": parts, "part": part}
                self._run(copy, where | span)
        self._change(self._before, f"DROP PARTITION ID '{partition}' SETTINGS max_partition_size_to_drop = 0")

    def _steps(self, partition: str) -> Iterable[tuple[int, int]]:
        asked = {"table": self._before, "column": self._wanted.column, "partition": partition, "step": STEP_SECONDS}
        return ((int(start), int(rows)) for start, rows in self._rows("migrations/steps", **asked))

    def _rows_a_slice(self) -> int:
        ((row_bytes,),) = self._rows("migrations/row_bytes", table=self._stored(self._before))
        return max(1, min(SLICE_ROWS, SLICE_BYTES // (int(row_bytes) or UNKNOWN_ROW_BYTES)))

    # -- tables -------------------------------------------------------------------------------------------------

    def _stored(self, table: str) -> str:
        """The table that holds the rows: on a cluster those of a shard."""
        return table + LOCAL if self._key else table

    def _is_there(self, table: str) -> bool:
        return bool(self._run("EXISTS TABLE {table:Identifier}", {"table": self._stored(table)}))

    def _is_sorted_as_wanted(self) -> bool:
        wanted = _SORTED_BY.search(self._wanted.definition)
        return wanted is not None and self._sorted_by(self._now) == wanted[1]

    def _sorted_by(self, table: str) -> str:
        """The columns that a table is sorted by, as ClickHouse lists them."""
        return str(self._rows("migrations/sort_key", table=self._stored(table))[0][0])

    def _rename(self, old: str, new: str) -> None:
        try:
            self._run(f"RENAME TABLE {self._stored(old)} TO {self._stored(new)}{everywhere(self._cluster)}")
        except DatabaseError as error:
            if error.code not in OVERTAKEN:
                raise
            raise Refused(
                f"another `migrate` moves the rows of {self._now} as well, and is ahead; wait for its end, then "
                "migrate again"
            ) from None

    def _change(self, table: str, change: str) -> None:
        self._run(f"ALTER TABLE {self._stored(table)}{everywhere(self._cluster)} {change}")

    def _run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Any:
        self._guard.renew()  # before, since a statement may take as long as any
        return self._client.command(statement, parameters=dict(parameters or {}))

    def _rows(self, statement: str, **parameters: Any) -> Any:
        self._guard.renew()
        return self._client.query(sql(statement), parameters=parameters).result_rows
