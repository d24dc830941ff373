"""Buckets that are too much at once are computed in halves: each of them, in order, and in few statements."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.computing import compute_steps, halves, upward_steps
from pipeline.core.effects import (
    CloseBuckets,
    Computing,
    Effect,
    InsertDeadLetters,
    ReadState,
    RebuildBuckets,
    RecomputeLate,
    State,
    Synchronise,
)
from pipeline.runner import drive
from schemas.grain import Grain

AT = 20_000 * Grain.DAY.seconds
COMPUTING = st.sampled_from(
    [
        made
        for grain in Grain
        for made in (
            CloseBuckets(grain, AT, AT, 2),
            RecomputeLate(grain, "batch", AT, AT, AT, 2),
            RebuildBuckets(grain, AT, AT, 2, "a"),
        )
    ]
)


@given(COMPUTING, st.integers(1, 70), st.lists(st.booleans(), max_size=140))
def test_every_bucket_is_computed_whatever_is_too_much(computed: Computing, buckets: int, too_much: list[bool]) -> None:
    computed = replace(computed, end=AT + buckets * computed.grain.seconds)
    taken, asked = list[Computing](), 0

    def perform(effect: Effect) -> bool:
        nonlocal asked
        assert isinstance(effect, Computing)
        asked += 1
        if halves(effect) and asked <= len(too_much) and too_much[asked - 1]:
            return True
        taken.append(effect)
        return False

    drive(compute_steps(computed), perform)
    edges = [AT, *(part.end for part in taken)]
    assert [(part.start, part.end) for part in taken] == list(pairwise(edges)), "without a gap"
    assert edges[-1] == computed.end
    assert {replace(part, start=AT, end=AT) for part in taken} == {replace(computed, end=AT)}, "else the same"
    assert all(part.start == part.grain.floor(part.start) for part in taken)
    assert asked == 2 * len(taken) - 1


def test_one_bucket_is_repeated_though_somebody_says_that_it_is_too_much() -> None:
    answers, done = [True, True, False], list[Effect]()

    def perform(effect: Effect) -> bool:
        done.append(effect)
        return answers[len(done) - 1]

    one = CloseBuckets(Grain.HOUR, AT, AT + Grain.HOUR.seconds, 0)
    drive(compute_steps(one), perform)
    assert done == [one] * 3


def test_what_computes_nothing_has_no_halves() -> None:
    assert halves(ReadState()) == halves(InsertDeadLetters(())) == ()


def test_a_coarser_grain_waits_for_all_parts_of_the_finer_one() -> None:
    hours = [CloseBuckets(grain, AT, AT + Grain.HOUR.seconds, 0) for grain in (Grain.MINUTE, Grain.HOUR)]
    done = list[Effect]()

    def perform(effect: Effect) -> bool | State:
        done.append(effect)
        return State() if isinstance(effect, ReadState) else effect == hours[0]

    drive(upward_steps(hours), perform)
    assert done == [hours[0], *halves(hours[0]), Synchronise(), hours[1], Synchronise(), ReadState()]
