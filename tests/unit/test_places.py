"""A partition is a Place, a number with its topic: nothing takes a bare number for one, and no SQL joins on one."""

import ast
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source import PACKAGES, ROOT, name_of, sources

CHECKED = ("pipeline", "deploy", "tests/sim", "tests/support/fake_store.py", "tests/support/stores.py")
NAMED = re.compile(r"_?(partitions?|partition_numbers?|places?)")
KEYED = {"dict", "Mapping", "MutableMapping", "defaultdict", "Counter", "set", "Set", "frozenset"}
NUMBERS = {
    "deploy/cli/migrate.py: migrate.partitions": "how many to make",
    "deploy/cli/topic_checks.py: TopicState.partitions": "how many there are",
    "deploy/cli/kafka.py: ensure_topics.partitions": "how many to make",
    "deploy/cli/kafka.py: _make.partitions": "how many to make",
    "deploy/cli/kafka.py: _refusal.partitions": "how many to make",
    "deploy/cli/kafka.py: _standing.partitions": "how many to make",
    "pipeline/core/start.py: Offsets.partitions": "how many there are",
    "pipeline/kafka/topic_ids.py: Identity.partitions": "how many there are",
    "pipeline/worker/pauses.py: between_ticks.partitions": "how many there are",
    "pipeline/core/progress.py: Started.partitions": "how many there are",
    "deploy/cli/status.py: PartitionState.partition": "a member of the document that --json writes",
    "deploy/cli/status.py: AcceptedGap.partition": "a member of the document that --json writes",
}
"""What is called a partition and is a number, with the reason."""
BY_NUMBER = {
    "pipeline/kafka/transactions.py: set[int]": "of producers",
    "pipeline/kafka/codecs.py: dict[int, Callable[[memoryview, int], bytes | memoryview]]": "by codec",
    "pipeline/kafka/topic_ids.py: dict[int, bytes]": "by tag of an optional field",
    "pipeline/core/broker_clocks.py: Mapping[int, _Wrong]": "by broker",
    "pipeline/registry/payloads/avro_values.py: dict[int, str]": "by the index of an enum's symbol",
    "pipeline/registry/payloads/protobuf_values.py: dict[int, str]": "by the number of an enum's value",
    "pipeline/peer.py: dict[int, int]": "by the number of a question",
    "deploy/migrations/apply.py: dict[tuple[int, int], tuple[str, str]]": "by migration and statement",
    "pipeline/core/statements/history.py: Mapping[int, Statement]": "by revision",
    "pipeline/core/statements/history.py: Mapping[int, Sequence[Statement]]": "by revision",
    "pipeline/core/statements/history.py: dict[int, Statement]": "by revision",
    "pipeline/core/statements/history.py: dict[int, list[Statement]]": "by revision",
    "pipeline/core/statements/keeping.py: dict[int, str]": "by revision",
    "pipeline/core/statements/keeping.py: Mapping[int, str]": "by revision",
    "tests/sim/world.py: dict[int, Order]": "by the number of an order",
    "tests/sim/copies.py: dict[int, frozenset[Fact]]": "by the start of a bucket",
}
"""What is kept by numbers that are no partitions, with the numbers' meaning."""
WITHOUT_TOPIC: dict[str, str] = {}
"""Statements that cannot tell one topic's partition from another's, with the reason."""


def hints(source: str) -> Iterator[tuple[str, ast.expr]]:
    """(function or class).name and annotation of parameters and fields, and the function's own of what it returns."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                a = node.args
                for argument in [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]:
                    if argument.annotation:
                        yield f"{node.name}.{argument.arg}", argument.annotation
                if node.returns:
                    yield node.name, node.returns
            case ast.ClassDef():
                for field in node.body:
                    if isinstance(field, ast.AnnAssign):
                        yield f"{node.name}.{ast.unparse(field.target)}", field.annotation


def is_number(annotation: ast.expr) -> bool:
    """Whether it is an int, perhaps, or holds them: as its only members, as keys, or first of a pair."""
    match annotation:
        case ast.Name(id="int"):
            return True
        case ast.BinOp(left, _, right):
            return is_number(left) or is_number(right)
        case ast.Subscript(slice=ast.Tuple(elts=[first, *_])) | ast.Subscript(slice=first):
            return is_number(first)
    return False


def subscripts(tree: ast.AST) -> Iterator[ast.Subscript]:
    """Whatever is written with brackets, within quotes too."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript():
                yield node
            case ast.Constant(str() as text) if re.fullmatch(r"[\w.]+\[[\w.\[\], |]+\]", text):
                with contextlib.suppress(SyntaxError):
                    yield from subscripts(ast.parse(text, mode="eval"))


def called_partitions(source: str) -> Iterator[str]:
    """Parameters, fields and functions that are called a partition and are a number."""
    yield from (name for name, hint in hints(source) if NAMED.fullmatch(name.rsplit(".", 1)[-1]) and is_number(hint))


def kept_by_number(source: str) -> Iterator[str]:
    """Types of what is kept by a number, or by numbers alone, whatever it is called."""
    for node in subscripts(ast.parse(source)):
        if ast.unparse(node.value).rsplit(".", 1)[-1] in KEYED:
            key = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
            of_pair = isinstance(key, ast.Subscript) and isinstance(key.slice, ast.Tuple) and key.slice.elts
            if all(map(is_number, of_pair or [key])):
                yield ast.unparse(node)


def test_nothing_that_is_called_a_partition_is_a_bare_number() -> None:
    found = {f"{name_of(file)}: {name}" for file in sources(*CHECKED) for name in called_partitions(file.read_text())}
    assert found - NUMBERS.keys() == set()
    assert NUMBERS.keys() - found == set(), "they are gone: take them off the list"


def test_nothing_is_kept_by_the_bare_number_of_a_partition() -> None:
    found = {f"{name_of(file)}: {kind}" for file in sources(*CHECKED) for kind in kept_by_number(file.read_text())}
    assert found - BY_NUMBER.keys() == set()
    assert BY_NUMBER.keys() - found == set(), "they are gone: take them off the list"


@pytest.mark.parametrize(
    "source",
    [
        "def f(partition: int) -> None: ...",
        "async def f(*, partitions: frozenset[int]) -> None: ...",
        "def f(*partitions: int) -> None: ...",
        "def f(places: list[tuple[int, int]]) -> None: ...",
        "def partitions() -> Iterable[int]: ...",
        "class C:\n    partitions: dict[int, Place]",
        "class C:\n    partition: int | None = None",
        "class C:\n    places: tuple[tuple[int, int], ...]",
    ],
)
def test_a_bare_number_is_found_however_it_is_written(source: str) -> None:
    assert list(called_partitions(source))


@pytest.mark.parametrize("source", ["def f(places: dict[Place, int]) -> int: ...", "def f(p: tuple[Place, int]): ..."])
def test_numbers_beside_a_place_are_no_bare_numbers(source: str) -> None:
    assert not [*called_partitions(source), *kept_by_number(source)]


@pytest.mark.parametrize(
    "source",
    [
        "def ends() -> dict[int, Offsets]: ...",
        "def f(ends: Mapping[int, int]) -> None: ...",
        "def f(choose: Callable[[Mapping[int, Offsets]], None]) -> None: ...",
        "Ends = dict[int, int]",
        "broken: set[tuple[int, int]] = set()",
        "def f() -> 'Task[dict[int, Stored]]': ...",
    ],
)
def test_what_is_kept_by_number_is_found_whatever_it_is_called(source: str) -> None:
    assert list(kept_by_number(source))


CLAUSE = re.compile(r"\b(SELECT|FROM|WHERE|HAVING|ORDER BY|GROUP BY|LIMIT|BY|JOIN|ON|USING|SETTINGS|UNION)\b")
JOINING = {"GROUP BY", "BY", "ON", "USING"}
"""Clauses whose columns say which rows are one: BY alone is that of LIMIT 1 BY and of a window's PARTITION BY."""


def alone(statement: str) -> list[str]:
    """Clauses and tuples of a statement that tell rows apart by their partition, and not by their topic."""
    code = re.sub(r"--[^\n]*|\{\w+:\w+\}", "", statement)
    words = CLAUSE.split(code)
    parts = [columns for clause, columns in zip(words[1::2], words[2::2], strict=True) if clause in JOINING]
    parts += re.findall(r"\((?!\s*SELECT\b)[^()]*,[^()]*\)", code)
    return [part for part in parts if re.search(r"\bpartition\b", part) and not re.search(r"\btopic\b", part)]


STATEMENTS = [file for package in PACKAGES for file in sorted((ROOT / package).glob("**/sql/**/*.sql"))]


def test_the_statements_of_all_packages_are_looked_at() -> None:
    assert {name_of(file).split("/")[0] for file in STATEMENTS} == set(PACKAGES)
    assert {name_of(file) for file in STATEMENTS} >= WITHOUT_TOPIC.keys()


@pytest.mark.parametrize("file", STATEMENTS, ids=name_of)
def test_no_statement_groups_or_joins_on_a_partition_without_its_topic(file: Path) -> None:
    assert bool(alone(file.read_text())) == (name_of(file) in WITHOUT_TOPIC)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT max(x) FROM t GROUP BY cluster_id,\n    partition",
        "SELECT topic, partition FROM t GROUP BY\n    partition\nORDER BY topic",
        "SELECT 1 FROM a JOIN b ON a.partition = b.partition\n AND a.offset = b.offset WHERE a.topic = {topic:String}",
        "SELECT 1 FROM a JOIN b USING (partition)",
        "SELECT 1 FROM a WHERE topic = {topic:String} AND (partition, offset) IN (SELECT partition, offset FROM b)",
        "SELECT groupArray((partition, offset)) FROM a",
        "SELECT * FROM a ORDER BY topic LIMIT 1 BY partition",
        "SELECT max(x) OVER (PARTITION BY partition) FROM a",
    ],
)
def test_a_partition_without_its_topic_is_found_however_it_is_written(statement: str) -> None:
    assert alone(statement)
    assert not alone(re.sub(r"(\w\.)?\bpartition\b", r"topic, \g<0>", statement))
