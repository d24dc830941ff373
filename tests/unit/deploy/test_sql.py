"""SQL stands in files: each is used, and none stands in a Python string."""

import ast
import re
from collections.abc import Iterator

import pytest

from deploy.sql import sql
from tests.support.engine import ROOT

FILES = sorted((ROOT / "deploy").rglob("*.py"))
STATEMENTS = sorted(f"{f.parts[-3]}/{f.stem}" for f in (ROOT / "deploy").rglob("*.sql") if f.parts[-2] == "sql")
SQL = re.compile(r"\s*(SELECT|INSERT|WITH|DELETE|UPDATE|EXISTS|CREATE|ALTER|DROP|BACKUP|RESTORE)\b", re.ASCII)
COMPOSED = {
    "deploy/cli/backup.py": "BACKUP and RESTORE take no parameters",
    "deploy/cli/clickhouse.py": "ON CLUSTER takes no parameter",
    "deploy/clickhouse_server/make_users.py": "users.sql is made from the table of rights",
    "deploy/migrations/cluster_ddl.py": "the tables of a cluster are derived from the migrations",
    "deploy/migrations/retention.py": "a TTL takes no parameter",
    "deploy/migrations/rewrite.py": "changes of a table's layout take no parameters",
}
"""Where a statement is put together, and why."""


def strings(tree: ast.AST) -> Iterator[str]:
    """The strings of a program, docstrings left out; of an f-string its pieces."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_is_used(name: str) -> None:
    assert any(f'"{name}"' in file.read_text() for file in FILES)
    assert ";" not in re.sub("--[^\n]*", "", sql(name)), "a file is one statement"


def test_no_statement_stands_in_python_but_where_it_must_be_put_together() -> None:
    found = {
        str(file.relative_to(ROOT))
        for file in FILES
        if any(SQL.match(text) and " " in text.strip() for text in strings(ast.parse(file.read_text())))
    }
    assert found == set(COMPOSED)
