"""The worker's real loops under random faults: exact in the end, and not without each of their safeguards.

Not played are the consumer's thread and Faust (pipeline/kafka), which tests/integration and tests/faults run against
real brokers, and threads of one process that touch the same memory: a step here is never cut in two.
"""

import os
import subprocess
import sys
from functools import cache
from itertools import count
from typing import NamedTuple

import pytest

from tests.sim.loops.worker import BATCH_BEHIND_A_HOLE, OLD_BATCH, REPEATED_BATCH
from tests.sim.loops.world import World
from tests.support.engine import ROOT

SEEDS = int(os.environ.get("MSGMETRICS_TEST_SIM_SEEDS", "200"))
CHUNK = 50
SEEDS_UNTIL_ALL_HAS_HAPPENED = 2000
FAULTS = {
    *("_kill", "_freeze", "_replace", "_rebalance", "_outage", "_add_partition", "_erase", "_set_clock", "_lose_topic"),
    *(OLD_BATCH, REPEATED_BATCH, BATCH_BEHIND_A_HOLE),
}
EFFECTS_OF_LOOPS = {
    *(
        "ReadErasures",
        "InsertFacts",
        "ReadState",
        "InsertDeadLetters",
        "WriteProgress",
        "StageKeys",
        "RecomputeLate",
        "CountStaged",
    ),
    *("WriteStarts", "ReadMarks", "RaiseState", "CloseBuckets", "LogClosing", "FindErased"),
}
"""Those of an erasure belong to an operator first; tests/sim/test_protocol.py interrupts them."""


class Played(NamedTuple):
    """What became of a world: what is wrong in the end, what happened to it, and at which effects workers died."""

    verdict: str | None
    faults: frozenset[str]
    killed_at: frozenset[str]


@cache
def played(seed: int) -> Played:
    world = World(seed).play()
    return Played(world.verdict(), frozenset(what for _, what in world.history), frozenset(world.killed_at))


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_grain_is_exact_after_a_minute_of_faults(first: int) -> None:
    wrong = {seed: verdict for seed in range(first, first + CHUNK) if (verdict := played(seed).verdict)}
    assert not wrong


def test_every_fault_happens_and_workers_are_killed_at_every_effect_of_their_loops() -> None:
    missing, seeds = FAULTS | EFFECTS_OF_LOOPS, count()
    while missing:
        seed = next(seeds)
        assert seed < SEEDS_UNTIL_ALL_HAS_HAPPENED, f"never happened, or nobody was killed at: {missing}"
        missing -= played(seed).faults | played(seed).killed_at


def test_one_seed_is_one_history() -> None:
    """Also in another process, whose sets of strings are in another order."""
    first, again = World(7).play().history, World(7).play().history
    assert first == again
    words = "from tests.sim.loops.world import World; print(World(7).play().history)"
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(first)
