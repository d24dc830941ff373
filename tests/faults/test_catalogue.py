"""The catalogue, the document made from it and the tests it names belong together."""

import ast
import itertools
import re
from pathlib import Path

import pytest

from tests.faults.catalogue import CHAOS, DRAWN, FAULTS, Fault, Target
from tests.faults.chaos import schedule
from tests.faults.table import README, with_table

ROOT = Path(__file__).parents[2]


def test_the_table_in_the_document_is_made_from_the_catalogue() -> None:
    assert README.read_text() == with_table(README.read_text()), "run: python -m tests.faults.table"


def test_every_test_that_the_document_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+\.py)::(\w+)`", README.read_text()))
    assert len(named) > 10
    for file, name in named:
        assert any(name in _functions(found) for found in (ROOT / "tests").rglob(file)), f"{file}::{name}"


def _functions(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_is_run_by_a_test_that_exists(fault: Fault) -> None:
    assert fault.tests
    for test in fault.tests:
        file, name = test.split("::")
        assert name in _functions(ROOT / file), test
    assert (CHAOS in fault.tests) or fault.inject is None


def test_a_schedule_comes_from_its_seed_and_never_breaks_one_thing_twice_at_once() -> None:
    assert schedule(3, 600) == schedule(3, 600) != schedule(4, 600)
    plan = schedule(3, 3600)
    assert {planned.fault for planned in plan} == set(DRAWN), "every fault is drawn sooner or later"
    for target in Target:
        own = [planned for planned in plan if planned.fault.target is target]
        assert all(a.until < b.at for a, b in itertools.pairwise(own))
    overlapping = [a for a, b in itertools.pairwise(plan) if a.until > b.at]
    assert len(overlapping) > len(plan) / 10, "faults of different targets meet"


def test_a_fault_that_is_felt_for_long_comes_first_and_is_over_when_the_run_is() -> None:
    for seed in range(50):
        plan, short = schedule(seed, 36), schedule(seed, 15)
        assert plan[0].fault.felt_seconds
        assert all(planned.at + planned.fault.felt_seconds <= 36 for planned in plan)
        assert not any(planned.fault.felt_seconds for planned in short)
