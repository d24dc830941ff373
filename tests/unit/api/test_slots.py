"""Bounds on what is under way at once: kept whoever asks, and free again however it ends."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import RateLimited
from api.slots import Slots

MOST = 8


def test_one_name_cannot_take_what_is_anothers() -> None:
    slots = Slots(MOST)
    with ExitStack() as running:
        for _ in range(MOST):
            running.enter_context(slots.taken("a"))
        with pytest.raises(RateLimited), slots.taken("a"):
            pass
        with slots.taken("b"):
            pass
    with slots.taken("a"):
        pass


def test_what_fails_gives_its_slots_back() -> None:
    slots = Slots(MOST)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), slots.taken("a", MOST):
            raise ZeroDivisionError


@given(st.lists(st.integers(0, MOST + 1), max_size=40))
def test_never_more_are_taken_than_there_are_and_whatever_fits_gets_in(counts: list[int]) -> None:
    slots, held = Slots(MOST), list[tuple[int, ExitStack]]()
    for count in counts:
        free = MOST - sum(taken for taken, _ in held)
        with ExitStack() as entering:
            try:
                entering.enter_context(slots.taken("a", count))
            except RateLimited:
                assert count > free
                if held:
                    held.pop(0)[1].close()
                continue
            assert count <= free
            held.append((count, entering.pop_all()))
    for _, leaving in held:
        leaving.close()
    with slots.taken("a", MOST):
        pass
