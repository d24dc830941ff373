"""Sees to it that nobody works on a database while a migration that needs a stop is under way.

A worker's report is no fence: one that is cut off reports nothing, and may come back in the middle. Whatever it inserts
then is kept. If its version knows `schema`, it claims nothing: it reads that `schema` was raised, and ends. One of a
version of before knows nothing of that; against it there is only the stop.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import sleep
from typing import TYPE_CHECKING, Any, Protocol

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from deploy.errors import Refused
from deploy.sql import sql
from schemas.statements import load

if TYPE_CHECKING:
    from pipeline.clickhouse.inserts import Rows

WATCH_SECONDS = 8.0
"""Four times as long as a worker takes from one report to the next."""
ACCESS_DENIED = 497
PROBES = ("migrations/drop_probe", "migrations/make_probe", "migrations/rename_probe", "migrations/drop_probe")
_MISSING_GRANT = re.compile(r"to have the grant (.+?)\.(?:\s|$)")


class Guard(Protocol):
    """Keeps others away from a migration."""

    def renew(self) -> None:
        """Keep other maintenance away; to be called before every statement."""

    def await_inserts(self, table: str) -> None:
        """Wait until every insert into a table that is under way has ended."""


class Unguarded:
    """For a database that nobody can be at work on, since it was empty."""

    def renew(self) -> None: ...
    def await_inserts(self, table: str) -> None: ...


class Stopped:
    """Holds the maintenance lease on a database whose workers are stopped."""

    def __init__(self, rows: "Rows", cluster: str, renew: Callable[[], None]) -> None:
        self._rows, self._cluster, self.renew = rows, cluster, renew

    def await_inserts(self, table: str) -> None:
        """Raises Refused where one takes longer than any of ours."""
        from pipeline.clickhouse.inserts import Inserts  # brings pyarrow, which takes as long as all else together
        from pipeline.errors import InsertLasts

        inserts = Inserts(self._rows, self._cluster, [table])
        under_way = inserts.under_way()
        try:
            while not inserts.have_ended(under_way):
                self.renew()
        except InsertLasts as error:
            raise Refused(f"{error}, and migrate again") from None


class _Statements:
    """A client as the lease of maintenance commands uses it: its errors are those of the pipeline."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def rows(self, doing: str, statement: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        with _translated(doing):
            return self._client.query(statement, parameters=parameters).result_rows

    def write(self, doing: str, statement: str, /, **parameters: Any) -> None:
        with _translated(doing):
            self._client.command(statement, parameters=parameters)


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    from pipeline.clickhouse.errors import sink_error

    try:
        yield
    except (ClickHouseError, OSError) as error:
        raise sink_error(error, doing) from error


@contextmanager
def stopped(client: Client, name: str, cluster: str) -> Iterator[Stopped]:
    """Hold the maintenance lease for a migration. Raises Refused while a worker or another command is at work."""
    from pipeline.repair.lease import LeaseTaken, leased  # brings pyarrow, which takes as long as all else together

    statements = _Statements(client)
    try:
        with leased(statements, "migrate") as lease:
            _try_rights(client)
            before = _reports(client)
            if before:
                sleep(WATCH_SECONDS)
            if working := reporting(before, _reports(client)):
                raise Refused(
                    f"{name} needs a stop, and a worker is running ({', '.join(working)}); stop all workers, migrate, "
                    "and start workers of this version. Nothing is lost meanwhile: as_of stands still"
                )
            yield Stopped(statements.rows, cluster, lease.renew)
    except LeaseTaken as error:
        raise Refused(str(error)) from None


def _try_rights(client: Client) -> None:
    """Try what only such a migration does, while nothing has changed: rights may be those of an older version."""
    try:
        for name in PROBES:
            client.command(sql(name))
        client.query(load("pipeline.clickhouse", "state/inserts"), parameters={"tables": []})
        client.query(sql("migrations/row_bytes"), parameters={"table": "probe"})
    except DatabaseError as error:
        if error.code != ACCESS_DENIED:
            raise
        raise Refused(_rights_sentence(str(error))) from None


def _rights_sentence(error: str) -> str:
    """The sentence on a missing right, with the grant that ClickHouse names."""
    found = _MISSING_GRANT.search(error)
    return (
        "give the user that migrates the rights of this version (deploy/clickhouse_server/users.sql, or users.xml), "
        f"and migrate again; nothing has changed. It lacks {found[1] if found else error.splitlines()[0][:300]}"
    )


def reporting(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Names of the workers of which there is another report than before."""
    return sorted(worker for worker, at in after.items() if at != before.get(worker))


def _reports(client: Client) -> dict[str, int]:
    return {str(worker): int(at) for worker, at in client.query(sql("migrations/reports")).result_rows}
