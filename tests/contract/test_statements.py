"""Every statement of the pipeline, as the loader gives it, runs on a migrated database; its pieces are all used."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from schemas.sharding import alter_target

FOLDER = Path(__file__).parents[2] / "pipeline" / "clickhouse" / "sql"
NAMES = sorted(str(file.relative_to(FOLDER).with_suffix("")) for file in FOLDER.rglob("*.sql"))
STATEMENTS = [name for name in NAMES if not name.startswith("pieces/")]
PIECES = [name for name in NAMES if name.startswith("pieces/")]
PARAMETER = re.compile(r"\{(\w+):([^}]+)\}")
IDENTIFIERS = {"target": "rollup_hour", "source": "rollup_minute", "column": "bucket"}
TARGETS = {"replay/forget": "replay_keys", "erasure/delete_rollup": "rollup_hour", "statements/delete": "statements"}
OF_A_CLUSTER = {"erasure/deletions_of_cluster", "state/synchronise"}
VALUES: dict[str, Any] = {
    "String": "x",
    "Array(String)": ["facts"],
    "UUID": "00000000-0000-0000-0000-000000000001",
    "Array(Tuple(String, String, UInt32, UInt64, UInt32))": [("cluster", "topic", 0, 7, 0)],
    "Array(Tuple(String, UInt32, UInt32, String, Int64, UInt64))": [("topic", 0, 0, "id", 7, 7)],
    "Array(Tuple(String, UInt32, UInt32, String, UInt64, UInt32))": [("topic", 0, 0, "id", 7, 7)],
    "Array(Tuple(String, UInt32, String, UInt64, UInt64))": [("topic", 0, "reading", 7, 7)],
}


def value(name: str, kind: str) -> Any:
    """Something of a parameter's type."""
    return IDENTIFIERS[name] if kind == "Identifier" else VALUES.get(kind, 1)


@pytest.fixture(scope="module", params=["url", "cluster"])
def store(request: pytest.FixtureRequest) -> Store:
    name = "module_url" if request.param == "url" else "module_cluster"
    return Store(request.getfixturevalue(name), "cluster", "worker", 10)


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_runs_as_it_is_loaded(name: str, store: Store) -> None:
    if name in OF_A_CLUSTER and not store.endpoint.cluster:
        return
    statement = sql(name).replace("TARGET", alter_target(TARGETS.get(name, "facts"), store.endpoint.cluster))
    parameters = {found[1]: value(found[1], found[2]) for found in PARAMETER.finditer(statement)}
    code = re.sub(r"^\s*--.*\n", "", statement, flags=re.MULTILINE)
    run = store.write if code.startswith(("INSERT", "ALTER")) else store.rows
    run("trying", statement, **parameters)


@pytest.mark.parametrize("name", STATEMENTS)
def test_nothing_is_left_to_be_included(name: str) -> None:
    assert "-- include" not in sql(name)


def test_every_piece_is_included_by_two_statements_or_more() -> None:
    texts = [(FOLDER / f"{name}.sql").read_text() for name in NAMES]
    uses = {name: sum(f"-- include {name}.sql\n" in text for text in texts) for name in PIECES}
    assert {name: used for name, used in uses.items() if used < 2} == {}
