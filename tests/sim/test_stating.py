"""Statements under random schedules and written ones: each revision is one document, each correction billed once."""

import os
from contextlib import suppress
from typing import Any, get_args

import pytest

from pipeline.core.effects import (
    Effect,
    OrderErasure,
    State,
)
from pipeline.core.statements.deciding import Order, Reason
from pipeline.core.statements.document import hash_of, parse
from pipeline.core.statements.history import (
    AppendStatements,
    EraseStatements,
    ReadLines,
    StatementEffect,
)
from pipeline.core.statements.keeping import Unfit
from pipeline.core.statements.steps import NotYet, state_steps
from pipeline.runner import drive
from schemas.grain import Grain
from tests.sim.clerks import DAY, Scene, reason, until
from tests.sim.stating import MAY, play, problem
from tests.support.exported import import_documents

SEEDS = int(os.environ.get("MSGMETRICS_TEST_SIM_SEEDS", "200")) // 2
CHUNK = 25
CRASHING_SEEDS = 200


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_what_finance_has_booked_adds_up_to_the_truth_after_any_schedule(first: int) -> None:
    wrong = {seed: found for seed in range(first, first + CHUNK) if (found := problem(play(seed)))}
    assert not wrong


def test_crashes_happen_at_every_effect_of_statements() -> None:
    never = {effect.__name__ for effect in get_args(StatementEffect)} - {EraseStatements.__name__}
    for seed in range(CRASHING_SEEDS):
        world = play(seed, to_crash_at=never)
        assert problem(world) is None
        never = never - world.cast.crashed_at
        if not never:
            return
    raise AssertionError(f"in {CRASHING_SEEDS} schedules nobody crashed at {never}")


def test_an_adjuster_that_was_frozen_takes_nothing_back() -> None:
    """::

    A   reads, without the late event ──────────────────────────── appends
    B      ── (late event) ── reads ── appends
    """
    scene = Scene()
    scene.state_month()
    scene.count("early", "a")
    frozen = state_steps(Order(MAY, adjusts=True))
    stale = until(frozen, scene, AppendStatements)
    scene.count("late", "a")
    made = scene.state_month(adjusts=True)["a"]
    assert made.is_stated
    scene.perform(stale)
    assert scene.hashes("a")[-1] == made.outcome.sha256  # type: ignore[union-attr]
    scene.aggregate()
    assert not scene.state_month(adjusts=True)["a"].is_stated, "neither credited nor billed once more"
    assert len(scene.hashes("a")) == 2


@pytest.mark.parametrize("crash", range(1, 16))
def test_whoever_crashes_anywhere_and_runs_again_states_each_organization_once(crash: int) -> None:
    scene, done = Scene(), list[Effect]()

    def perform(effect: Effect) -> Any:
        if len(done) == crash:
            raise KeyboardInterrupt
        done.append(effect)
        return scene.perform(effect)

    with suppress(KeyboardInterrupt):
        drive(state_steps(Order(MAY, partial=True)), perform)
    scene.count("late", "a")
    results = scene.state_month()
    assert set(results) == {"a", "b"}
    assert [len(scene.hashes(org)) for org in "ab"] == [1, 1]
    assert len(scene.statements) == 2


def test_an_erasure_while_the_month_is_adjusted_takes_nothing_back() -> None:
    """::

    adjuster   reads the days, of which one is deleted already ── reads erasures: refused
    eraser  ordered ── deletes ──
    """
    scene = Scene()
    scene.state_month()
    steps = state_steps(Order(MAY, adjusts=True, lower=True))
    lines = until(steps, scene, ReadLines)
    scene.perform(OrderErasure("a", scene.now_ms))
    scene.rollups[Grain.DAY].pop(("a", DAY))
    answer = scene.perform(lines)
    while True:
        try:
            answer = scene.perform(steps.send(answer))
        except StopIteration as ended:
            results = {r.org_id: r for r in ended.value}
            break
    assert reason(results["a"]) is Reason.ERASED
    assert len(scene.hashes("a")) == 1


def test_rollups_that_are_gone_take_nothing_back_unless_somebody_says_so() -> None:
    scene = Scene()
    scene.state_month()
    scene.facts.clear()
    for rows in scene.rollups.values():
        rows.clear()
    scene.count("another", "a", at=DAY + Grain.DAY.seconds)
    results = scene.state_month(adjusts=True)
    assert {org: reason(r) for org, r in results.items()} == {"a": Reason.LOWER, "b": Reason.LOWER}
    assert scene.state_month(adjusts=True, org_id="b", lower=True)["b"].is_stated


def test_no_month_is_adjusted_before_aggregation_has_passed_its_newest_revision() -> None:
    """A restored database counts again what it has counted, and until then it has less of some days."""
    scene = Scene()
    scene.state_month()
    behind = scene.state
    scene.count("late", "a")
    scene.state = behind
    assert reason(scene.state_month(adjusts=True)["a"]) is Reason.BEHIND
    scene.aggregate()
    assert scene.state_month(adjusts=True)["a"].is_stated


@pytest.mark.parametrize("is_told", [True, False], ids=["as designed", "nobody is told"])
def test_what_was_stated_after_a_backup_is_not_stated_once_more(is_told: bool) -> None:
    """::

    revision 1 ── backup ── revision 2, booked ── restored ── (another revision 2) ── imported
    """
    scene = Scene()
    scene.state_month()
    backup = list(scene.statements)
    scene.count("late", "a")
    assert scene.state_month(adjusts=True)["a"].is_stated
    booked = [data for _, data in scene.statements]
    scene.statements = backup
    scene.restored_ms = scene.now_ms if is_told else 0
    scene.count("later", "a")
    with suppress(NotYet):
        scene.state_month(adjusts=True)
    if not is_told:
        with pytest.raises(Unfit, match="one of the two was billed, or both"):
            drive(import_documents(booked), scene.perform)
        return
    assert drive(import_documents(booked), scene.perform).new == 1
    scene.restored_ms = 0
    scene.aggregate()
    assert scene.state_month(adjusts=True)["a"].is_stated
    assert scene.hashes("a")[:2] == [hash_of(data) for data in booked if parse(data).head.org == "a"]


def test_nothing_is_stated_of_a_month_that_has_not_ended_nor_of_a_database_that_lacks_statements() -> None:
    scene = Scene()
    scene.state = State(as_of_ms=MAY.end_ms - 1)
    with pytest.raises(
        NotYet, match=r"2026-05 ends at 2026-06-01T00:00:00.000Z, and as_of is 2026-05-31T23:59:59.999Z"
    ):
        scene.state_month()
    scene.aggregate()
    scene.restored_ms = scene.now_ms
    with pytest.raises(NotYet, match=r"restored from a backup at .* `msgmetrics statements resume`"):
        scene.state_month()
