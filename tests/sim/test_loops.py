"""The worker's real loops under random faults: exact in the end, and not without each of their safeguards.

Not played are the consumer's thread and Faust (pipeline/kafka), which tests/integration and tests/faults run against
real brokers, and threads of one process that touch the same memory: a step here is never cut in two.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.sim.loops.flaws import Flaw
from tests.sim.loops.world import World, run
from tests.support.engine import ROOT

SEEDS = int(os.environ.get("MSGMETRICS_TEST_SIM_SEEDS", "1000"))
CHUNK = 100
SEEDS_TO_NOTICE = 2000
FAULTS = {"_kill", "_freeze", "_replace", "_rebalance", "_outage", "_add_partition", "_erase"}
EFFECTS_OF_LOOPS = {
    *("ReadErasures", "InsertFacts", "ReadState", "InsertDeadLetters", "WriteProgress", "StageKeys", "RecomputeLate"),
    *("ReadWatermarks", "RaiseState", "CloseBuckets", "LogClosing", "FindErased", "EraseRows", "EraseRollups"),
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A thousand worlds full of faults log more than anybody reads."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_grain_is_exact_after_a_minute_of_faults(first: int) -> None:
    wrong = {seed: verdict for seed in range(first, first + CHUNK) if (verdict := run(seed))}
    assert not wrong


@pytest.mark.parametrize("flaw", [f for f in Flaw if f is not Flaw.NONE], ids=lambda flaw: flaw.name.lower())
def test_a_missing_safeguard_of_the_loops_is_noticed(flaw: Flaw) -> None:
    noticed = next((seed for seed in range(SEEDS_TO_NOTICE) if run(seed, flaw)), None)
    assert noticed is not None, f"{SEEDS_TO_NOTICE} worlds did not notice: {flaw}"


def test_every_fault_happens_and_workers_are_killed_at_every_effect_of_their_loops() -> None:
    faults, effects = set(FAULTS), set(EFFECTS_OF_LOOPS)
    for seed in range(SEEDS_TO_NOTICE):
        world = World(seed).play()
        faults -= {what for _, what in world.history}
        effects -= world.killed_at
        if not faults | effects:
            return
    raise AssertionError(f"never happened: {faults}; nobody was killed at: {effects}")


def test_one_seed_is_one_history() -> None:
    """Also in another process, whose sets of strings are in another order."""
    first, again = World(7).play().history, World(7).play().history
    assert first == again
    words = "from tests.sim.loops.world import World; print(World(7).play().history)"
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(first)
