"""The threat model names tests that exist."""

import ast
import re

from tests.support.engine import ROOT

TEXT = (ROOT / "deploy" / "THREATS.md").read_text()


def test_every_threat_names_a_test_that_exists() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) > 30
    for row in rows:
        found = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert found, row
        for path, name in found:
            defined = {n.name for n in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(n, ast.FunctionDef)}
            assert name in defined, f"{path} has no {name}"
