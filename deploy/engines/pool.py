"""A pool of connections to the embedded engine, which has settings and database per connection."""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chdb

DATABASE = "database"
MAX_IDLE_CONNECTIONS = 32
SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

Settings = tuple[tuple[str, str], ...]


class EngineError(Exception):
    """A statement that the engine refused, with the engine's own text."""


def quote(text: str) -> str:
    """A string literal of ClickHouse's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class ConnectionPool:
    """Connections to one engine, each with the settings it was made for. Safe for threads.

    A connection whose statement failed is closed. The engine (chDB 4.4) keeps whatever such a statement had written of
    its answer, and begins the answer of the connection's next statement with it.
    """

    def __init__(self, path: Path | None, config: Path | None = None) -> None:
        self._where = (str(path) if path else ":memory:") + (f"?config-file={config}" if config else "")
        self._idle: OrderedDict[int, tuple[Settings, Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._keep = chdb.connect(self._where)  # the engine lives as long as it has a connection

    @contextmanager
    def connection(self, settings: Settings) -> Iterator[Any]:
        """A connection with exactly these settings, for one statement."""
        connection = self._checkout(settings) or self._open(settings)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._checkin(settings, connection)

    def _checkout(self, settings: Settings) -> Any:
        with self._lock:
            for key, (made_for, connection) in reversed(self._idle.items()):
                if made_for == settings:
                    del self._idle[key]
                    return connection
        return None

    def _open(self, settings: Settings) -> Any:
        connection = chdb.connect(self._where)
        try:
            # readonly last: it may forbid the others
            for name, value in sorted(settings, key=lambda s: s[0] == "readonly"):
                if name == DATABASE:
                    run(connection, f"USE `{value.replace('`', '')}`")
                    continue
                if SETTING_NAME.fullmatch(name) is None:
                    raise EngineError(f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)")
                run(connection, f"SET {name} = {quote(value)}")
        except EngineError:
            connection.close()
            raise
        return connection

    def _checkin(self, settings: Settings, connection: Any) -> None:
        surplus = None
        with self._lock:
            self._idle[id(connection)] = (settings, connection)
            if len(self._idle) > MAX_IDLE_CONNECTIONS:
                _, (_, surplus) = self._idle.popitem(last=False)
        if surplus is not None:
            surplus.close()

    def close(self) -> None:
        with self._lock:
            for _, connection in self._idle.values():
                connection.close()
            self._idle.clear()
        self._keep.close()


def run(connection: Any, statement: str, parameters: Mapping[str, str] | None = None) -> bytes:
    """The statement's answer. Raises EngineError."""
    try:
        return connection.query(statement, "TabSeparated", params=dict(parameters or {})).bytes() or b""
    except Exception as error:
        raise EngineError(str(error)) from error
