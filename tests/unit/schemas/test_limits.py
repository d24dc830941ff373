"""The limit of a statement is written once, and every bound of one is that."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.settings import PREFIX, SettingsError, read_settings

ROOT = Path(__file__).parents[3]
SETTING = PREFIX + "CLICKHOUSE_INSERT_TIMEOUT_SECONDS"
OPENERS = ("Store", "ClickHouse", "connect")
"""What takes the limit of a statement: the last positional argument of a store, a keyword of a connection."""


def test_the_setting_cannot_exceed_it() -> None:
    highest = read_settings({SETTING: str(LONGEST_STATEMENT_SECONDS)})
    assert highest.clickhouse_insert_timeout_seconds == LONGEST_STATEMENT_SECONDS
    with pytest.raises(SettingsError, match=f"to {LONGEST_STATEMENT_SECONDS}"):
        read_settings({SETTING: str(LONGEST_STATEMENT_SECONDS + 1)})


def bounds() -> Iterator[tuple[str, str]]:
    """(place, expression) of the time limit of every store and connection that a worker or a command opens."""
    for file in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OPENERS):
                continue
            named = [keyword.value for keyword in node.keywords if keyword.arg == "timeout_seconds"]
            for value in named or (node.args[-1:] if node.func.id != "connect" else []):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", ast.unparse(value)


def test_every_store_and_connection_with_a_limit_has_this_one_or_the_settings() -> None:
    found = dict(bounds())
    allowed = {"LONGEST_STATEMENT_SECONDS", "s.clickhouse_insert_timeout_seconds", "self.timeout_seconds"}
    assert {place: value for place, value in found.items() if value not in allowed} == {}
    assert len(found) >= 6, "it finds what it looks for"
