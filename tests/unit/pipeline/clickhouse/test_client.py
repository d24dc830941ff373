"""The store translates the driver's errors wherever they are raised, and asks once."""

from collections.abc import Callable
from typing import Any, get_args

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from pipeline.clickhouse.client import ClickHouse
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Effect
from pipeline.errors import NotMigrated, SinkRefuses, SinkUnavailable
from pipeline.worker.health import Health
from pipeline.worker.operations import Operations
from pipeline.worker.worker import Worker
from schemas.settings import read_settings
from tests.support.moments import at
from tests.support.places import P0

CALLS: dict[str, Callable[[ClickHouse], Any]] = {
    "rows": lambda store: store.rows("counting", "SELECT 1"),
    "stream": lambda store: list(store.stream("counting", "SELECT 1")),
    "write": lambda store: store.write("counting", "SELECT 1"),
    "insert": lambda store: store.insert("counting", "facts", ["x"], [[1]]),
    "insert_arrow": lambda store: store.insert_arrow("counting", "facts", pa.table({"x": [1]})),
}


class Failing:
    """A client, or a way to connect, that raises and counts."""

    def __init__(self, error: Exception) -> None:
        self.error, self.calls = error, 0

    def __getattr__(self, _: str) -> "Failing":
        return self

    def close(self) -> None:
        """There is nothing to close."""

    close_connections = close

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.calls += 1
        raise self.error


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, *, connected: bool) -> tuple[Store, Failing]:
    store, client = Store("http://nowhere/default", "cluster", "worker", 10), Failing(error)
    if connected:
        store._connections._idle.append(client)  # type: ignore[arg-type]
    else:
        monkeypatch.setattr("schemas.connection.connect", client)
    return store, client


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_every_error_of_the_driver_says_what_to_do_next_and_what_was_done(
    name: str, connected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = failing(monkeypatch, ConnectionResetError("reset"), connected=connected)
    with pytest.raises(SinkUnavailable, match=r"^ClickHouse is unavailable while counting: reset$"):
        CALLS[name](store)
    store, _ = failing(monkeypatch, DatabaseError("no such table", code=60), connected=connected)
    with pytest.raises(NotMigrated, match=r"run `msgmetrics migrate` \(ClickHouse refuses counting: no such table\)$"):
        CALLS[name](store)
    store, _ = failing(monkeypatch, DatabaseError("no right", code=497), connected=connected)
    with pytest.raises(SinkRefuses, match=r"^ClickHouse refuses counting: no right$"):
        CALLS[name](store)


def test_what_only_looks_asks_once_and_health_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    store, client = failing(monkeypatch, ConnectionResetError("reset"), connected=True)
    health = Health(10)
    found = Operations("worker", health, lambda: at(1_000), store.look).stored()
    assert found == {"stored": None, "problem": "ClickHouse is unavailable while looking: reset"}
    assert client.calls == 1
    assert not health.sink.problem


def test_a_report_is_sent_once_and_health_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(read_settings({}))
    worker._store, client = failing(monkeypatch, ConnectionResetError("reset"), connected=True)
    worker._report({P0: 1}, {P0: 2}, 0)
    assert client.calls == 1
    assert not worker.health.sink.problem


@pytest.mark.parametrize("kind", get_args(Effect), ids=lambda kind: kind.__name__)
def test_every_effect_can_be_performed(kind: type) -> None:
    perform = Store.__dict__["perform"].dispatcher
    assert perform.dispatch(kind) is not perform.dispatch(object)
