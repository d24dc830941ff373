"""Several topics under random schedules: `as_of` never passes what is unread, and does where a safeguard is missing."""

import os
from itertools import chain, count

import pytest

from tests.sim.topics.actors import Missing
from tests.sim.topics.world import Change, play, run

SEEDS = int(os.environ.get("MSGMETRICS_TEST_SIM_SEEDS", "200"))
CHUNK = 50
SEEDS_UNTIL_ALL_HAS_HAPPENED = 200
SEEDS_TO_NOTICE = 2000
LIKELY = (12, 13, 9, 111, 837)
"""Schedules that noticed what hardly an earlier one did: looked at first, as long as they still do."""


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_as_of_never_passes_what_is_unread_of_a_topic_that_holds(first: int) -> None:
    wrong = {seed: verdict for seed in range(first, first + CHUNK) if (verdict := run(seed))}
    assert not wrong


def test_a_topic_is_added_dismissed_retired_deleted_and_made_anew() -> None:
    never, seeds = set(Change), count()
    while never:
        seed = next(seeds)
        assert seed < SEEDS_UNTIL_ALL_HAS_HAPPENED, f"never happened: {never}"
        never -= play(seed).changes


@pytest.mark.parametrize("missing", [m for m in Missing if m is not Missing.NOTHING], ids=lambda m: m.name.lower())
def test_a_missing_safeguard_of_several_topics_is_noticed(missing: Missing) -> None:
    noticed = next((seed for seed in chain(LIKELY, range(SEEDS_TO_NOTICE)) if run(seed, missing)), None)
    assert noticed is not None, f"{SEEDS_TO_NOTICE} schedules did not notice: {missing}"
