"""A store in which a month is stated step by step, as a written schedule wants it."""

from collections.abc import Generator
from typing import Any

from pipeline.core.effects import (
    CloseBuckets,
    InsertFacts,
    RaiseState,
    State,
    UnderWay,
)
from pipeline.core.statements.deciding import Order, Reason, Refusal
from pipeline.core.statements.history import (
    ReadStating,
    histories,
)
from pipeline.core.statements.steps import Result, state_steps
from pipeline.runner import drive
from schemas.grain import Grain
from tests.sim.stating import MAY
from tests.support.fake_store import FakeStore
from tests.support.stores import facts

DAY = MAY.start + 3 * Grain.DAY.seconds


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


def reason(result: Result) -> Reason | None:
    return result.outcome.reason if isinstance(result.outcome, Refusal) else None
