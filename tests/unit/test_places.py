"""A partition is a Place, a number with its topic: nothing takes a bare number for one, and no SQL joins on one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source import ROOT, name_of, sources

PARTITION = re.compile(r"^_?(partitions?|numbers?_of_partitions?)$")
BY_NUMBER = re.compile(r"\b(dict|Mapping|frozenset|set|Set|Iterable|list|tuple|Sequence)\[int\b")
NUMBERS = {
    "deploy/cli/replay.py: replay.partitions": "the option, as an operator names them",
    "deploy/cli/migrate.py: migrate.partitions": "how many to make",
    "deploy/cli/kafka.py: TopicState.partitions": "how many there are",
    "deploy/cli/kafka.py: ensure_topic.partitions": "how many to make",
    "deploy/cli/kafka.py: _standing.partitions": "how many to make",
    "deploy/cli/status.py: PartitionState.partition": "a member of the document that --json writes",
    "deploy/cli/status.py: AcceptedGap.partition": "a member of the document that --json writes",
}
"""What is called a partition and is a number, with the reason."""
JOINING = re.compile(r"\b(GROUP BY|USING|ON|IN)\b")


def annotated(source: str) -> Iterator[tuple[str, str]]:
    """(function or class).name and annotation of every parameter and field."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
                    if argument.annotation:
                        yield f"{node.name}.{argument.arg}", ast.unparse(argument.annotation)
            case ast.ClassDef():
                for field in node.body:
                    if isinstance(field, ast.AnnAssign):
                        yield f"{node.name}.{ast.unparse(field.target)}", ast.unparse(field.annotation)


def bare_numbers(source: str) -> Iterator[str]:
    """Parameters and fields that are called a partition and are an int, alone or as a key or member."""
    for name, annotation in annotated(source):
        is_number = re.search(r"\bint\b", annotation) and ("Place" not in annotation or BY_NUMBER.search(annotation))
        if PARTITION.match(name.rsplit(".", 1)[-1]) and is_number:
            yield name


def test_no_partition_is_a_bare_number() -> None:
    files = [*sources("pipeline", "deploy"), *(ROOT / "tests" / "sim").rglob("*.py")]
    found = {f"{name_of(file)}: {name}" for file in files for name in bare_numbers(file.read_text())}
    assert found - NUMBERS.keys() == set()
    assert NUMBERS.keys() - found == set(), "they are gone: take them off the list"


@pytest.mark.parametrize(
    "source",
    [
        "def f(partition: int) -> None: ...",
        "async def f(*, partitions: frozenset[int]) -> None: ...",
        "class C:\n    partitions: dict[int, Place]",
        "class C:\n    partition: int | None = None",
    ],
)
def test_a_bare_number_is_found_however_it_is_written(source: str) -> None:
    assert list(bare_numbers(source))


@pytest.mark.parametrize("file", sorted(ROOT.glob("*/**/sql/**/*.sql")), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_statement_groups_or_joins_on_a_partition_without_its_topic(file: Path) -> None:
    lines = re.sub(r"--[^\n]*", "", file.read_text()).splitlines()
    alone = [
        line for line in lines if JOINING.search(line) and re.search(r"\bpartition\b", line) and "topic" not in line
    ]
    assert alone == []
