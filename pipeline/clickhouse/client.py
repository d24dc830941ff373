"""A connection to ClickHouse for each thread, statements from files, and errors as the pipeline means them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.errors import sink_error
from schemas import statements, tables
from schemas.connection import connect
from schemas.endpoint import Endpoint

T = TypeVar("T")


def sql(name: str) -> str:
    """The statement in ``pipeline/clickhouse/sql/NAME.sql``; a name has the folder in it."""
    return statements.load("pipeline.clickhouse", name)


class ClickHouse:
    """Runs statements, each within ``timeout_seconds``, from any thread.

    Every method blocks. ``guarded`` turns a failure into SinkUnavailable (repeat it) or Stop.
    """

    def __init__(self, clickhouse: str | Endpoint, timeout_seconds: float) -> None:
        self.endpoint, self.timeout_seconds = Endpoint.of(clickhouse), timeout_seconds
        self._local = threading.local()

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            settings = {**tables.WRITE_SETTINGS, "max_execution_time": int(self.timeout_seconds)}
            client = connect(self.endpoint, timeout_seconds=self.timeout_seconds, settings=settings)
            self._local.client = client
        return client

    def rows(self, statement: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        """The rows that a query answers, all at once."""
        return self._client().query(statement, parameters=parameters).result_rows

    def stream(self, doing: str, statement: str, /, **parameters: Any) -> Iterator[Sequence[Any]]:
        """The rows that a query answers, block by block in constant memory; ``doing`` is for its errors."""
        try:
            with self._client().query_rows_stream(statement, parameters=parameters) as rows:
                yield from rows
        except (ClickHouseError, OSError) as error:
            raise sink_error(error, doing) from error

    def write(self, statement: str, /, **parameters: Any) -> None:
        """Run a statement that answers nothing; it is done when this returns."""
        self._client().command(statement, parameters=parameters)

    def insert(self, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows of Python values."""
        self._client().insert(table, rows, column_names=names)

    def insert_arrow(self, table: str, columns: pa.Table) -> None:
        """Insert columns."""
        self._client().insert_arrow(table, columns)

    def guarded(self, doing: str, call: Callable[[], T]) -> T:
        """Run ``call``; what it raises says what the caller does next, and what was being done."""
        try:
            return call()
        except (ClickHouseError, OSError) as error:
            raise sink_error(error, doing) from error
