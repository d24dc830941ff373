"""The metric of violations: what it counts, what it takes, and who looks."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline import metrics
from pipeline.clickhouse.store import Store
from pipeline.core.effects import CloseBuckets, InsertFacts
from pipeline.errors import SinkUnavailable
from pipeline.worker import violations
from pipeline.worker.violations import SPAN_SECONDS, count_violations, watch_violations
from schemas.endpoint import Endpoint
from schemas.grain import Grain
from schemas.message_event import DELIVERED, SENT
from tests.support.stores import DAY, facts

AS_OF = DAY + 12 * 3600 + 90
END = AS_OF // 60 * 60


@pytest.fixture(params=["url", "cluster"])
def store(request: pytest.FixtureRequest) -> Store:
    target: str | Endpoint = request.getfixturevalue(request.param)
    return Store(target, "cluster", "worker", 10)


def publish(store: Store, *rows: tuple[str, str, int]) -> None:
    """Facts of (org, event, occurred in epoch seconds), in minutes that are then closed."""
    store.perform(InsertFacts(facts(*((org, event, 1, 0, at) for org, event, at in rows))))
    store.perform(CloseBuckets(Grain.MINUTE, DAY, DAY + Grain.DAY.seconds, 0))


def test_an_id_at_two_minutes_is_one_violation_and_nothing_else_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = ("a", "sent again", END - 100)
    for _ in range(2):  # inserted twice, and not merged
        publish(
            store, repeated, ("a", "id of two organizations", END - 100), ("b", "id of two organizations", END - 200)
        )
    assert count_violations(store.look, AS_OF * 1000) == 0
    publish(store, ("a", "dated anew", END - 600), ("a", "dated anew", END - 60), ("b", "three times", END - 1))
    publish(store, ("b", "three times", END - 61), ("b", "three times", END - 121))
    assert count_violations(store.look, AS_OF * 1000) == 2
    publish(store, ("c", "one of them open", END - 60), ("c", "one of them open", END))
    publish(store, ("c", "one of them old", END - 60), ("c", "one of them old", END - SPAN_SECONDS - 1))
    assert count_violations(store.look, AS_OF * 1000) == 2

    monkeypatch.setattr(violations, "SCANNED_FACTS", 4 + 3)  # the newest minute and the one before have so many
    assert count_violations(store.look, AS_OF * 1000) == 1
    monkeypatch.setattr(violations, "SCANNED_FACTS", 2)
    assert math.isnan(count_violations(store.look, AS_OF * 1000)), "not 0: nobody has looked at the newest minute"


def test_one_id_of_two_types_at_two_minutes_is_none(store: Store) -> None:
    at_two = [("a", f"both types {n}", kind, 0, END - 60 * kind) for n in range(20) for kind in (SENT, DELIVERED)]
    store.perform(InsertFacts(facts(*at_two)))
    publish(store)
    assert count_violations(store.look, AS_OF * 1000) == 0


def test_of_many_events_a_share_is_looked_at_and_the_rest_estimated(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, *(("a", str(n), END - 60 * (1 + k)) for n in range(400) for k in range(2)))
    monkeypatch.setattr(violations, "HELD_IDENTITIES", 100)  # of 800 facts: one identity in nine
    assert count_violations(store.look, AS_OF * 1000) == pytest.approx(400, rel=0.4)


def test_who_does_not_own_partition_0_and_whom_clickhouse_does_not_answer_knows_nothing() -> None:
    answers: list[Any] = [SinkUnavailable("away"), [(END - 60, 7, 7)], [(3,)]]
    owns, seen = [False, True, True, False], []

    def look(name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        answer = answers.pop(0)
        if isinstance(answer, SinkUnavailable):
            raise answer
        return answer  # type: ignore[no-any-return]

    def is_mine() -> bool:
        seen.append(metrics.value(metrics.VIOLATIONS))
        return owns.pop(0)  # and an IndexError is the end

    with pytest.raises(IndexError):
        asyncio.run(watch_violations(is_mine, lambda: AS_OF * 1000, look, pause_seconds=0, retry_seconds=0))
    assert seen[1:] == pytest.approx([math.nan, math.nan, 3, math.nan], nan_ok=True)
    assert not answers
    assert math.isnan(count_violations(look, 0)), "before the first as_of nothing is asked"
