"""Fresh databases with all migrations, each for a test: copies of one that was migrated, dropped when the test is over.

A migration takes three times as long as a copy, and a server with hundreds of databases is busy with nothing else.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from clickhouse_connect.driver.client import Client

from schemas.connection import connect

_TABLES = """
SELECT name, total_rows > 0, create_table_query
FROM system.tables
WHERE database = {database:String}
ORDER BY engine = 'Distributed', name
"""


def new_name() -> str:
    """A name that no database has."""
    return f"t{uuid.uuid4().hex}"


class Databases:
    """Databases of servers that share their names: those of a cluster, or one alone.

    ``url`` is where the program reaches them, without a database; ``make`` migrates the one at a URL.
    """

    def __init__(self, url: str, make: Callable[[str], object], servers: Sequence[str] = ()) -> None:
        self._url, self._make = url, make
        self._servers = [connect(f"{server}/default") for server in servers or [url]]

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of one without tables, which is gone after the block."""
        name = self._create()
        yield f"{self._url}/{name}"
        for server in self._servers:
            server.command(f"DROP DATABASE {name} SYNC")

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The URL of one with all migrations, which is gone after the block."""
        with self.empty() as made:
            for server in self._servers:
                _copy(server, self._template, made.rpartition("/")[2])
            yield made

    def _create(self) -> str:
        name = new_name()
        for server in self._servers:
            server.command(f"CREATE DATABASE {name}")
        return name

    @cached_property
    def _template(self) -> str:
        name = self._create()
        self._make(f"{self._url}/{name}")
        return name


def _copy(server: Client, template: str, name: str) -> None:
    """Make the tables of a database, and their rows, in another one of the same server."""
    for table, has_rows, definition in server.query(_TABLES, parameters={"database": template}).result_rows:
        server.command(definition.replace(template, name))
        if has_rows:
            server.command(f"INSERT INTO {name}.{table} SELECT * FROM {template}.{table}")
