"""The worker's real loops under random faults: exact in the end, and not without each of their safeguards.

Not played are the consumer's thread and Faust (pipeline/kafka), which tests/integration and tests/faults run against
real brokers, and threads of one process that touch the same memory: a step here is never cut in two.
"""

import os
import subprocess
import sys

import pytest

from tests.sim.loops.world import World, run
from tests.support.engine import ROOT

SEEDS = int(os.environ.get("MSGMETRICS_TEST_SIM_SEEDS", "1000"))
CHUNK = 100


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_grain_is_exact_after_a_minute_of_faults(first: int) -> None:
    wrong = {seed: verdict for seed in range(first, first + CHUNK) if (verdict := run(seed))}
    assert not wrong


def test_one_seed_is_one_history() -> None:
    """Also in another process, whose sets of strings are in another order."""
    first, again = World(7).play().history, World(7).play().history
    assert first == again
    words = "from tests.sim.loops.world import World; print(World(7).play().history)"
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(first)
