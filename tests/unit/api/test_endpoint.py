"""The endpoint's own bounds."""

from contextlib import ExitStack

import pytest

from api.endpoint import QUERIES_AN_ORGANIZATION, Slots
from api.errors import RateLimited


def test_one_organization_cannot_take_all_threads() -> None:
    slots = Slots()
    with ExitStack() as running:
        for _ in range(QUERIES_AN_ORGANIZATION):
            running.enter_context(slots.taken("a"))
        with pytest.raises(RateLimited), slots.taken("a"):
            pass
        with slots.taken("b"):
            pass
    with slots.taken("a"):
        pass


def test_a_query_that_fails_gives_its_slot_back() -> None:
    slots = Slots()
    for _ in range(QUERIES_AN_ORGANIZATION + 1):
        with pytest.raises(ZeroDivisionError), slots.taken("a"):
            raise ZeroDivisionError
