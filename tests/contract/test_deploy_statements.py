"""Every statement of deploy that stands in a file runs, as the loader gives it."""

import re

import pytest
from clickhouse_connect.driver.client import Client

from deploy.sql import sql
from schemas import tables
from schemas.connection import connect
from tests.support.engine import ROOT

STATEMENTS = sorted(f"{f.parts[-3]}/{f.stem}" for f in (ROOT / "deploy").rglob("*.sql") if f.parts[-2] == "sql")
PARAMETER = re.compile(r"{(\w+):(\w+)}", re.ASCII)
VALUES = {"String": "x", "Identifier": "rollup_minute", "Int64": 1, "UInt32": 1, "UInt64": 1}
WRITES = {
    "cli/revoke_key": tables.API_KEYS,
    "migrations/create_ledger": tables.MIGRATIONS,
    "migrations/raise_facts_floor": tables.WATERMARK,
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
    parameters = {parameter: VALUES[kind] for parameter, kind in PARAMETER.findall(statement)}
    if name in WRITES:
        assert WRITES[name] in statement
        database.command(statement, parameters=parameters)  # a refused statement raises
    else:
        database.query(statement, parameters=parameters)
