"""What the simulation of the loops is worth: it notices each missing safeguard."""

from itertools import chain

import pytest

from tests.sim.loops.flaws import Flaw
from tests.sim.loops.world import run

SEEDS_TO_NOTICE = 2000
LIKELY = (131, 180, 37, 190, 151, 25, 225, 0)
"""Worlds that noticed what no earlier one did. Looked at first: they save half a minute, as long as they still do."""


@pytest.mark.parametrize("flaw", [f for f in Flaw if f is not Flaw.NONE], ids=lambda flaw: flaw.name.lower())
def test_a_missing_safeguard_of_the_loops_is_noticed(flaw: Flaw) -> None:
    noticed = next((seed for seed in chain(LIKELY, range(SEEDS_TO_NOTICE)) if run(seed, flaw)), None)
    assert noticed is not None, f"{SEEDS_TO_NOTICE} worlds did not notice: {flaw}"
