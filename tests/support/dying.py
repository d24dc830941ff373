"""A client of ClickHouse whose process dies."""

from typing import Any

from clickhouse_connect.driver.client import Client


class Dying:
    """A client that is gone after so many writes."""

    def __init__(self, client: Client, writes: int) -> None:
        self._client, self._left = client, writes

    def _dies(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt

    def query(self, *words: Any, **named: Any) -> Any:
        return self._client.query(*words, **named)

    def command(self, statement: str, **named: Any) -> Any:
        if not statement.startswith(("EXISTS", "--", "SELECT")) or "INSERT" in statement:
            self._dies()
        return self._client.command(statement, **named)

    def insert(self, *words: Any, **named: Any) -> Any:
        self._dies()
        return self._client.insert(*words, **named)
