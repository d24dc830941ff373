"""The rooms of the house: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "schemas": {"schemas"},
    "pipeline": {"pipeline", "schemas"},
    "api": {"api", "schemas"},
    "deploy": {"deploy", "pipeline", "api", "schemas"},
}
PURE = ["pipeline/core", "api/params.py", "api/window.py", "api/cursor.py", "api/render.py", "api/answers.py"]
EFFECTS = {
    "asyncio",
    "logging",
    "os",
    "random",
    "socket",
    "threading_",
    "time",
    "clickhouse_connect",
    "faust",
    "aiokafka",
}


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        assert set(imports(file)) & set(ALLOWED) <= ALLOWED[package], file


@pytest.mark.parametrize("place", PURE)
def test_pure_code_has_no_clock_no_network_and_no_log(place: str) -> None:
    files = [ROOT / place] if place.endswith(".py") else list((ROOT / place).rglob("*.py"))
    assert files
    for file in files:
        assert not set(imports(file)) & EFFECTS, file


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        str(file.relative_to(ROOT))
        for package in ("schemas", "pipeline", "api")
        for file in (ROOT / package).rglob("*.py")
        if "environ" in file.read_text()
    }
    assert readers == {"schemas/settings.py"}


def test_files_stay_small_enough_to_read() -> None:
    long = {
        str(f): n for p in ALLOWED for f in (ROOT / p).rglob("*.py") if (n := len(f.read_text().splitlines())) > 350
    }
    assert not long
