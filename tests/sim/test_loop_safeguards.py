"""What the simulation of the loops is worth: it notices each missing safeguard, and its faults hit everywhere."""

import pytest

from tests.sim.loops.flaws import Flaw
from tests.sim.loops.worker import BATCH_BEHIND_A_HOLE, OLD_BATCH, REPEATED_BATCH
from tests.sim.loops.world import World, run

SEEDS_TO_NOTICE = 2000
FAULTS = {
    *("_kill", "_freeze", "_replace", "_rebalance", "_outage", "_add_partition", "_erase", "_set_clock"),
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
    *("ReadWatermarks", "RaiseState", "CloseBuckets", "LogClosing", "FindErased"),
}
"""Those of an erasure belong to an operator first; tests/sim/test_protocol.py interrupts them."""


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
