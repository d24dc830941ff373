"""Our own source as the tests of its style read it: by its syntax, not by its text."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "pipeline", "api", "deploy")


def sources(*places: str) -> list[Path]:
    """Python files of packages, folders or files, which are given from the root."""
    return [file for place in places for file in _below(ROOT / place)]


def _below(place: Path) -> list[Path]:
    found = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert found, f"{place} has no Python file"
    return found


def name_of(file: Path) -> str:
    """The path from the root, with slashes."""
    return file.relative_to(ROOT).as_posix()


def imported(source: str) -> Iterator[str]:
    """Modules that a file imports, and what it takes from them: ``time``, ``pipeline.core``, ``pipeline.core.late``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def references(source: str) -> frozenset[str]:
    """Everything that a file takes from modules, called or not, under its full name however it was imported.

    ``import time as t; start(timer=t.monotonic)`` refers to ``time.monotonic``. The clock of an event loop, which comes
    from no module, is ``loop.time``.
    """
    tree = ast.parse(source)
    names = _bound(tree)
    found = {_dotted(node, names) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return frozenset({*imported(source), *(name for name in found if name)})


def _bound(tree: ast.Module) -> dict[str, str]:
    """The full names of what the file's imports bind."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname: a.name for a in node.names if a.asname}
            names |= {(first := a.name.split(".")[0]): first for a in node.names if not a.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """``datetime.datetime.now`` for ``datetime.now``; None for an attribute of a value."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    if node.attr == "time" and _last_word(node.value).endswith("loop"):
        return "loop.time"
    base = _dotted(node.value, names)
    return f"{base}.{node.attr}" if base else None


def _last_word(node: ast.expr) -> str:
    """``get_running_loop`` for ``asyncio.get_running_loop()``."""
    if isinstance(node, ast.Call):
        return _last_word(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
