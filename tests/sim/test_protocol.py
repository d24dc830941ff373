"""The protocol under random schedules: exact in the end, whoever crashes, and not without each of its safeguards."""

import os
from itertools import chain
from typing import get_args

import pytest

from pipeline.core.effects import Effect
from pipeline.core.statements.history import StatementEffect
from tests.sim.stage import Flaw
from tests.sim.topics import world as topics
from tests.sim.world import play, run, verdict_of

SEEDS = int(os.environ.get("MSGMETRICS_TEST_SIM_SEEDS", "200"))
CHUNK = 50
CRASHING_SEEDS = 500
SEEDS_TO_NOTICE = 4000
LIKELY = (1231, 301, 350, 58, 1195, 656, 246, 88, 31, 87, 89, 10, 724)
"""Schedules that noticed what hardly an earlier one did: looked at first, as long as they still do."""


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_grain_equals_a_naive_recount_after_any_schedule(first: int) -> None:
    wrong = {seed: verdict for seed in range(first, first + CHUNK) if (verdict := run(seed))}
    assert not wrong


def test_crashes_happen_at_every_effect_of_the_protocol() -> None:
    never = {effect.__name__ for effect in {*get_args(Effect)} - {*get_args(StatementEffect)}}
    for seed in range(CRASHING_SEEDS):
        world, of_topics = play(seed, to_crash_at=never), topics.play(seed, to_crash_at=never)
        assert [verdict_of(world), of_topics.verdict()] == [None, None]
        never = never - world.cast.crashed_at - of_topics.cast.crashed_at
        if not never:
            return
    raise AssertionError(f"in {CRASHING_SEEDS} schedules nobody crashed at {never}")


@pytest.mark.parametrize("flaw", [f for f in Flaw if f is not Flaw.NONE])
def test_a_missing_safeguard_is_noticed(flaw: Flaw) -> None:
    noticed = next((seed for seed in chain(LIKELY, range(SEEDS_TO_NOTICE)) if run(seed, flaw)), None)
    assert noticed is not None, f"{SEEDS_TO_NOTICE} schedules did not notice: {flaw}"
