"""A worker that was cut off while the database was migrated comes back: it ends before it claims anything.

The store raises at a read of the state. So a protocol is fenced where it reads the state behind the last of what it
bases a claim on, and before the claim.
"""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.clickhouse.schema import check_schema
from pipeline.core.effects import (
    CloseBuckets,
    Effect,
    EraseRollups,
    EraseRows,
    FinishErasure,
    InsertFacts,
    OrderErasure,
    RaiseState,
    ReadState,
    RebuildBuckets,
    RecomputeLate,
    State,
    Steps,
)
from pipeline.core.erasure import erase_steps, order_erasure_steps, sweep_steps
from pipeline.core.flush import Chunk
from pipeline.core.late_keys import LateKeys
from pipeline.core.progress import Progress, WriteProgress
from pipeline.core.protocol import flush_steps, rebuild_steps, recompute_steps, roll_steps
from pipeline.errors import NewerSchema, NotMigrated
from pipeline.runner import drive
from schemas.tables import SCHEMA
from tests.support.fake_store import FakeStore
from tests.support.places import P0, TOPIC
from tests.support.stores import facts

DAY = 20_000 * 86_400


def chunk() -> Chunk:
    return Chunk(columns=facts(("a", "1", 1, 0, DAY)), records=1)


def publishes(effect: Effect) -> bool:
    return isinstance(effect, RaiseState) and effect.state.as_of_ms > 0


PROTOCOLS: dict[str, tuple[Callable[[], Steps[Any]], tuple[type, ...], Callable[[Effect], bool] | None]] = {
    "flush": (
        lambda: flush_steps(chunk(), [Progress(P0, 1)], 0, {}),
        (InsertFacts,),
        lambda effect: isinstance(effect, WriteProgress),
    ),
    "roll": (lambda: roll_steps({TOPIC}, {TOPIC: {P0}}), (CloseBuckets,), publishes),
    "recompute": (lambda: recompute_steps("batch", LateKeys.listed((DAY // 60, "a"))), (RecomputeLate,), None),
    "rebuild": (lambda: rebuild_steps(DAY, DAY + 60), (RebuildBuckets,), None),
    "erase": (
        lambda: erase_steps("a", DAY * 1000),
        (EraseRollups, RebuildBuckets),
        lambda effect: isinstance(effect, FinishErasure),
    ),
    "order an erasure": (
        lambda: order_erasure_steps("a", DAY * 1000),
        (EraseRollups, RebuildBuckets),
        lambda effect: isinstance(effect, FinishErasure),
    ),
    "sweep": (
        sweep_steps,
        (EraseRollups, RebuildBuckets),
        lambda effect: isinstance(effect, FinishErasure),
    ),
}
"""What each protocol does, and the claim that it makes in the end; None where its end is one, since it is acted on."""


def store() -> FakeStore:
    made = FakeStore(clock_ms=lambda: (DAY + 86_400) * 1000, state=State(closing_ms=(DAY + 86_400) * 1000))
    made.perform(InsertFacts(facts(("a", "0", 1, 0, DAY))))
    made.perform(WriteProgress((Progress(P0, 1, (DAY + 7200) * 1000),)))
    made.perform(OrderErasure("b", DAY * 1000))
    return made


def effects_of(steps: Steps[Any]) -> list[Effect]:
    """The effects of a protocol, in order, as it runs to its end."""
    done: list[Effect] = []
    fake = store()

    def perform(effect: Effect) -> Any:
        done.append(effect)
        return fake.perform(effect)

    drive(steps, perform)
    return done


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_state_is_read_between_what_is_done_and_the_claim(name: str) -> None:
    steps, doing, claim = PROTOCOLS[name]
    done = effects_of(steps())
    last = max(n for n, effect in enumerate(done) if isinstance(effect, doing))
    claimed = [n for n, effect in enumerate(done) if claim(effect)] if claim else [len(done)]
    assert claimed
    assert any(isinstance(effect, ReadState) for effect in done[last : claimed[0]])


@pytest.mark.parametrize("name", ["erase", "order an erasure", "sweep"])
def test_the_state_is_read_before_anything_is_deleted(name: str) -> None:
    done = effects_of(PROTOCOLS[name][0]())
    assert ReadState() in done[: next(n for n, effect in enumerate(done) if isinstance(effect, EraseRows))]


def test_an_older_version_ends_and_a_newer_one_waits() -> None:
    check_schema(SCHEMA, SCHEMA)
    with pytest.raises(NewerSchema, match="start that version"):
        check_schema(SCHEMA + 1, SCHEMA)
    for begun, done in ((0, 0), (SCHEMA, 0), (SCHEMA, SCHEMA - 1)):
        with pytest.raises(NotMigrated, match="run `msgmetrics migrate`"):
            check_schema(begun, done)
