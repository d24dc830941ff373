"""A short chaos run with a fixed seed; ``make chaos`` runs longer ones with any."""

import pytest

from tests.faults.chaos import run_and_keep
from tests.support.system import require_kafka

SECONDS = 15
SEED = 180


@pytest.mark.timeout(280)
def test_a_short_chaos_leaves_no_trace_in_the_numbers() -> None:
    require_kafka()
    print(run_and_keep(SEED, SECONDS))
