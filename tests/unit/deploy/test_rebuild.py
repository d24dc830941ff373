"""``rebuild`` and ``reconcile`` of a span in which there is nothing to do say so."""

from dataclasses import replace
from typing import Any

import pytest

from deploy.cli.erase import find_instant
from deploy.cli.rebuild import rebuild_span
from deploy.cli.reconcile import as_text
from deploy.errors import Refused
from pipeline.core.effects import Effect, RaiseState, State
from pipeline.repair.reconcile import Reconciliation
from schemas.grain import MS_PER_SECOND, Grain
from schemas.instant import Span, rfc3339
from tests.support.fake_store import FakeStore
from tests.support.moments import reading
from tests.support.stores import DAY

AHEAD = Span(DAY + 10 * Grain.DAY.seconds, DAY + 11 * Grain.DAY.seconds)


@pytest.mark.parametrize("as_of_ms", [0, DAY * MS_PER_SECOND])
def test_a_span_that_is_not_aggregated_yet_is_not_rebuilt(as_of_ms: int) -> None:
    store = FakeStore()
    store.perform(RaiseState(State(as_of_ms=as_of_ms, closing_ms=as_of_ms)))
    with pytest.raises(Refused, match=f"as_of is {rfc3339(as_of_ms) or 'not set'}"):
        rebuild_span(store, AHEAD, "", watched=False)  # type: ignore[arg-type]


def test_a_reconciliation_that_compared_nothing_proves_nothing() -> None:
    result = Reconciliation(AHEAD.start, AHEAD.end)
    assert "nothing was compared" in as_text(result)[-1]
    result.checked[Grain.DAY] = 1
    assert "every rollup" in as_text(result)[-1]


@pytest.mark.parametrize(
    "act", [lambda s: rebuild_span(s, AHEAD, "", watched=False), lambda s: find_instant(s, "a", None)]
)
@pytest.mark.parametrize("ahead_ms", [-40 * 86_400_000, 61_000])
def test_nothing_is_deleted_or_written_anew_by_a_clock_that_may_be_wrong(act: Any, ahead_ms: int) -> None:
    class Elsewhere(FakeStore):
        def perform(self, effect: Effect) -> Any:
            state: State = super().perform(effect)
            return replace(state, clock=reading(state.clock.theirs_ms + ahead_ms, state.clock.theirs_ms))

    with pytest.raises(Refused, match="synchronise both"):
        act(Elsewhere())
