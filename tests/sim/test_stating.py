"""Statements under random schedules and written ones: each revision is one document, each correction billed once."""

import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any, get_args

import pytest

from pipeline.core.effects import (
    AwaitInserts,
    CloseBuckets,
    Effect,
    InsertFacts,
    OrderErasure,
    RaiseState,
    State,
    UnderWay,
)
from pipeline.core.statements.deciding import Order, Reason, Refusal
from pipeline.core.statements.document import hash_of, parse
from pipeline.core.statements.history import (
    AppendStatements,
    EraseStatements,
    ReadLines,
    ReadStating,
    StatementEffect,
    histories,
)
from pipeline.core.statements.keeping import Unfit
from pipeline.core.statements.steps import NotYet, Result, firm_steps, state_steps
from pipeline.runner import drive
from schemas.grain import Grain
from tests.sim.stating import MAY, play, problem
from tests.support.exported import import_documents
from tests.support.fake_store import FakeStore, to_the_end
from tests.support.stores import facts

SEEDS = int(os.environ.get("MSGMETRICS_TEST_SIM_SEEDS", "200")) // 2
CHUNK = 25
CRASHING_SEEDS = 200
DAY = MAY.start + 3 * Grain.DAY.seconds


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


class Scene(FakeStore):
    """A store in which a second goes by with every effect."""

    waits = True

    def __init__(self) -> None:
        self.now_ms = MAY.end_ms + 1000
        super().__init__(clock_ms=lambda: self.now_ms)
        self.count("first", "a", "b")

    def perform(self, effect: Any) -> Any:
        self.now_ms += 1000
        if isinstance(effect, ReadStating) and not self.waits:
            return UnderWay()
        return super().perform(effect)

    def count(self, event: str, *orgs: str, at: int = DAY) -> None:
        """Count an event, which may be late, and aggregate up to now."""
        self.perform(InsertFacts(facts(*((org, event, 1, 500_000, at) for org in orgs))))
        self.aggregate()

    def aggregate(self) -> None:
        for grain in Grain:
            self.perform(CloseBuckets(grain, MAY.start, MAY.end, self.state.generation))
        self.perform(RaiseState(State(as_of_ms=self.now_ms, closing_ms=self.now_ms)))

    def state_month(self, *, adjusts: bool = False, **more: Any) -> dict[str, Result]:
        order = Order(MAY, adjusts=adjusts, partial=True, **more)
        return {r.org_id: r for r in drive(state_steps(order), self.perform)}

    def hashes(self, org: str) -> list[str]:
        history = histories(s for s, _ in self.statements)[org, MAY.name]
        return [history.revisions[n].sha256 for n in sorted(history.revisions)]


def until(steps: Generator[Any, Any, Any], store: FakeStore, kind: type) -> Any:
    """Perform a protocol up to an effect of a kind, and return that."""
    effect = next(steps)
    while not isinstance(effect, kind):
        effect = steps.send(store.perform(effect))
    return effect


@pytest.mark.parametrize("waits", [True, False], ids=["as designed", "nobody waits"])
def test_a_revision_is_firm_when_those_that_began_before_it_have_ended(waits: bool) -> None:
    """::

    A        reads ── appends revision 1 ─────────────────── seen: it began first
    B        reads, with a late event ── appends ── seen
    finance                                          reads ┄┄┄┄┄ books
    """
    scene = Scene()
    scene.waits = waits
    first = until(state_steps(Order(MAY, partial=True)), scene, AppendStatements)
    scene.count("late", "a", "b")
    second = until(state_steps(Order(MAY, partial=True)), scene, AppendStatements)
    slow: Generator[None, None, Any] = scene.steps(first)
    next(slow)
    scene.perform(second)

    def perform(effect: Effect) -> Any:
        if isinstance(effect, AwaitInserts):
            next(slow, None)
        return scene.perform(effect)

    booked = drive(firm_steps(MAY.name), perform)["a"].newest.sha256
    to_the_end(slow)
    assert (scene.hashes("a") == [booked]) is waits
    scene.aggregate()
    assert scene.state_month(adjusts=True)["a"].is_stated, "what the other had seen comes with the next adjustment"
    scene.aggregate()
    assert not scene.state_month(adjusts=True)["a"].is_stated


class Race(Scene):
    """A first revision that began and is not seen yet: it is whenever somebody waits for inserts."""

    _slow: Iterator[None] = iter(())

    def __init__(self) -> None:
        super().__init__()
        early = until(state_steps(Order(MAY, partial=True)), self, AppendStatements)
        self.count("late", "a", "b")
        self.rival = until(state_steps(Order(MAY, partial=True)), self, AppendStatements)
        self.early = early.drafts[0].sha256
        self._slow = self.steps(early)
        next(self._slow)

    def perform(self, effect: Any) -> Any:
        if isinstance(effect, AwaitInserts):
            next(self._slow, None)
        return super().perform(effect)


def test_no_revision_is_built_on_one_that_another_may_come_before() -> None:
    """::

    A  appends revision 1 ──────────────────────── seen
    B    appends revision 1 ── seen
    C                            reads ┄┄┄┄┄┄┄┄┄┄┄┄ appends revision 2, behind A's
    """
    race = Race()
    race.perform(race.rival)
    race.aggregate()
    made = race.state_month(adjusts=True)["a"]
    assert made.is_stated
    assert made.newest is not None
    assert (made.newest.revision, made.newest.previous) == (2, race.early)


def test_nothing_is_imported_behind_one_that_another_may_come_before() -> None:
    """What is imported is B's revision 1, and A's is under way."""
    race = Race()
    rival = [draft.document for draft in race.rival.drafts]
    with pytest.raises(Unfit, match="is another document here"):
        drive(import_documents(rival), race.perform)


def test_a_revision_that_turned_up_during_the_wait_is_not_firm_yet() -> None:
    """::

    reader  reads ── lists inserts ── reads: revision 1 ── lists, waits for A ────── reads: A's
    A                             appends ──────────────────────────────────── seen
    B                               appends ── seen
    """
    race, lists = Race(), list[ReadStating]()

    def perform(effect: Effect) -> Any:
        if isinstance(effect, ReadStating):
            lists.append(effect)
            if len(lists) == 1:
                race.perform(race.rival)
                return UnderWay()
        return race.perform(effect)

    assert drive(firm_steps(MAY.name), perform)["a"].newest.sha256 == race.early
    assert len(lists) == 2


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


def reason(result: Result) -> Reason | None:
    return result.outcome.reason if isinstance(result.outcome, Refusal) else None


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
