"""ClickHouse for the pipeline: a pool of connections, statements from files, the driver's errors translated."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.errors import sink_error
from schemas import statements
from schemas.connection import Connections
from schemas.endpoint import Endpoint
from schemas.tables import WRITE_SETTINGS


def sql(name: str) -> str:
    """The statement in ``pipeline/clickhouse/sql/NAME.sql``; a name has the folder in it."""
    return statements.load("pipeline.clickhouse", name)


class ClickHouse:
    """Runs statements, each once and within ``timeout_seconds``, from any thread.

    Every method blocks and raises SinkUnavailable (repeat it) or Stop; ``doing`` is the error's word for the statement,
    as in "inserting facts".
    """

    def __init__(self, clickhouse: str | Endpoint, timeout_seconds: float) -> None:
        self.endpoint, self.timeout_seconds = Endpoint.of(clickhouse), timeout_seconds
        self._connections = Connections(self.endpoint, timeout_seconds=timeout_seconds, settings=dict(WRITE_SETTINGS))

    @contextmanager
    def _asked(self, doing: str) -> Iterator[Client]:
        """A client for one statement. Translates the driver's errors in the block, and those of connecting."""
        try:
            with self._connections.client() as client:
                yield client
        except (ClickHouseError, OSError) as error:
            raise sink_error(error, doing) from error

    def rows(self, doing: str, statement: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        """The rows that a query answers, all at once."""
        with self._asked(doing) as client:
            return client.query(statement, parameters=parameters).result_rows

    def stream(self, doing: str, statement: str, /, **parameters: Any) -> Iterator[Sequence[Any]]:
        """The rows that a query answers, block by block in constant memory."""
        with self._asked(doing) as client, client.query_rows_stream(statement, parameters=parameters) as rows:
            yield from rows

    def write(self, doing: str, statement: str, /, **parameters: Any) -> None:
        """Run a statement that answers nothing; it is done when this returns."""
        with self._asked(doing) as client:
            client.command(statement, parameters=parameters)

    def insert(self, doing: str, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows of Python values."""
        with self._asked(doing) as client:
            client.insert(table, rows, column_names=names)

    def insert_arrow(self, doing: str, table: str, columns: pa.Table) -> None:
        """Insert columns."""
        with self._asked(doing) as client:
            client.insert_arrow(table, columns)
