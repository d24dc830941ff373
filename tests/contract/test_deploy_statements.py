"""Every statement of deploy that stands in a file runs, as the loader gives it."""

import re

import pytest
from clickhouse_connect.driver.client import Client

from deploy.sql import sql
from schemas import tables
from schemas.connection import connect
from tests.support.engine import ROOT

STATEMENTS = sorted(f"{f.parts[-3]}/{f.stem}" for f in (ROOT / "deploy").rglob("*.sql") if f.parts[-2] == "sql")
PARAMETER = re.compile(r"{(\w+):([\w()]+)}", re.ASCII)
VALUES = {
    "String": "x",
    "Array(String)": ["x"],
    "Array(UInt32)": [1],
    "Identifier": "rollup_minute",
    "Int64": 1,
    "UInt32": 1,
    "UInt64": 1,
    "UInt8": 1,
}
NAMED: dict[str, dict[str, object]] = {
    "migrations/move_rows": {"old": "facts", "new": "facts", "column": "minute", "parts": 2},
    "migrations/steps": {"table": "facts", "column": "minute"},
}
"""Parameters of statements for which these values mean nothing."""
WRITES = {
    "cli/revoke_key": tables.API_KEYS,
    "migrations/create_ledger": tables.MIGRATIONS,
    "migrations/drop_probe": "probe_renamed",
    "migrations/make_probe": "probe",
    "migrations/move_rows": "COLUMNS",
    "migrations/raise_facts_floor": tables.WATERMARK,
    "migrations/rename_probe": "probe",
}


@pytest.fixture(scope="module")
def database(module_url: str) -> Client:
    return connect(module_url)


def test_there_are_statements() -> None:
    assert {name.split("/")[0] for name in STATEMENTS} == {"cli", "migrations"}
    assert set(WRITES) <= set(STATEMENTS)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_runs_with_parameters_bound_by_the_server(database: Client, name: str) -> None:
    statement = sql(name)
    assert statement.startswith("-- "), "a statement begins with what it answers"
    bound: dict[str, object] = {parameter: VALUES[kind] for parameter, kind in PARAMETER.findall(statement)}
    parameters = bound | NAMED.get(name, {})
    if name in WRITES:
        assert WRITES[name] in statement
        named = statement.replace("COLUMNS", "org_id").replace("VALUES", "org_id").replace("KEY", "org_id")
        database.command(named, parameters=parameters)  # a refused statement raises
    else:
        database.query(statement, parameters=parameters)
