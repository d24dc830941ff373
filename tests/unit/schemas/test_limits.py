"""The limit of a statement is written once, and every bound of one is that."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.reader import QUERY_SECONDS
from deploy.cli.clickhouse import LOOK_SECONDS
from pipeline.repair.lease import GIVE_BACK_SECONDS, LEASE_SECONDS, RENEW_SECONDS
from schemas.connection import connect
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.settings import PREFIX, SettingsError, read_settings
from schemas.tables import READ_SETTINGS

ROOT = Path(__file__).parents[3]
SETTING = PREFIX + "CLICKHOUSE_INSERT_TIMEOUT_SECONDS"
STORES = ("Store", "ClickHouse")
OPENERS = (*STORES, "connect", "connect_writer", "Connections", "connected", "open_clickhouse")
"""What takes the limit of a statement: the last positional argument of a store, a keyword of a connection."""
ALLOWED = {
    "LONGEST_STATEMENT_SECONDS",
    "s.clickhouse_insert_timeout_seconds",
    "self.timeout_seconds",
    "timeout_seconds",
}
SHORTER = {
    "QUERY_SECONDS + 0.5": QUERY_SECONDS + 0.5,
    "GIVE_BACK_SECONDS": GIVE_BACK_SECONDS,
    "LOOK_SECONDS": LOOK_SECONDS,
}
"""What the API's readers wait for, a command that ends, and commands that only look."""


def test_the_setting_cannot_exceed_it() -> None:
    highest = read_settings({SETTING: str(LONGEST_STATEMENT_SECONDS)})
    assert highest.clickhouse_insert_timeout_seconds == LONGEST_STATEMENT_SECONDS
    with pytest.raises(SettingsError, match=f"to {LONGEST_STATEMENT_SECONDS}"):
        read_settings({SETTING: str(LONGEST_STATEMENT_SECONDS + 1)})


def bounds() -> Iterator[tuple[str, str]]:
    """(place, expression) of the time limit of every store and connection that is opened outside of tests.

    A connection without one has that of ``connect``.
    """
    rooms = ("pipeline", "deploy", "api", "tests/bench")
    for file in [file for room in rooms for file in (ROOT / room).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OPENERS):
                continue
            named = [keyword.value for keyword in node.keywords if keyword.arg == "timeout_seconds"]
            for value in named or (node.args[-1:] if node.func.id in STORES else []):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", ast.unparse(value)


def test_every_store_and_connection_has_this_limit_or_the_settings() -> None:
    found = dict(bounds())
    assert {place: value for place, value in found.items() if value not in ALLOWED | SHORTER.keys()} == {}
    assert len(found) >= 6, "it finds what it looks for"
    assert max(SHORTER.values()) < LONGEST_STATEMENT_SECONDS


def test_a_lease_outlasts_the_longest_statement_and_its_own_renewal() -> None:
    """It is renewed between statements, where RENEW_SECONDS have passed: then both may take their longest."""
    assert LEASE_SECONDS >= RENEW_SECONDS + 2 * LONGEST_STATEMENT_SECONDS


@pytest.mark.parametrize("url", ["http://localhost:8123", "chdb:///tmp/nowhere"])
@pytest.mark.parametrize(
    ("told", "limit"),
    [
        ({}, LONGEST_STATEMENT_SECONDS),
        ({"timeout_seconds": 7.5}, 7),
        ({"timeout_seconds": QUERY_SECONDS + 0.5}, QUERY_SECONDS),
    ],
)
def test_a_connection_tells_the_server_its_limit(
    url: str, told: dict[str, Any], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr("clickhouse_connect.get_client", lambda **arguments: made.update(arguments))
    connect(url, settings={"insert_deduplicate": 0}, **told)
    assert made["settings"] == {**READ_SETTINGS, "max_execution_time": limit, "insert_deduplicate": 0}
