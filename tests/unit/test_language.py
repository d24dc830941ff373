"""Docstrings begin with a verb or a noun, never like a question."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.source import PACKAGES, name_of, sources

QUESTIONS = {"How", "That", "What", "Whatever", "When", "Where", "Whether", "Which", "Who", "Whoever", "Whose", "Why"}
MOST = 8


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    found = [f"{name_of(file)}:{place}" for file in sources(*PACKAGES) for place in questions(file.read_text())]
    assert len(found) <= MOST, "\n".join([f"{len(found)} of at most {MOST} begin like a question:", *found])


def questions(source: str) -> Iterator[str]:
    """Docstrings that begin like a question, those of constants too; a predicate may begin with "Whether"."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    predicates = {id(f.body[0]) for f in functions if f.returns and ast.unparse(f.returns) == "bool"}
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text)), lineno=line):
                first = text.split(maxsplit=1)[0].rstrip(",:;.") if text.strip() else ""
                if first in QUESTIONS and not (first == "Whether" and id(node) in predicates):
                    yield f"{line}: {text.splitlines()[0]}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""What a worker does."""', 1),
        ('A = 1\n"""Whatever, really."""', 1),
        ('def f() -> int:\n    """Whether it is."""', 1),
        ('def f() -> bool:\n    """Whether it is."""', 0),
        ('"""Whole numbers."""', 0),
        ('def f() -> bool:\n    """Run it; say what happened."""', 0),
    ],
)
def test_a_question_is_told_from_an_answer(source: str, found: int) -> None:
    assert len(list(questions(source))) == found
