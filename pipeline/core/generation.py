"""Generations: a rebuild's rows outrank every row that was there before it.

A rollup row carries a *stamp*, the leading part of its version: ``generation * 2048 + below``. ``below`` counts the
rows under it that are of the same generation. A minute is computed from facts and has none: 0. An hour counts 1 for
each of its minutes, at most 60; a day counts 1 + what they count for each of its hours, at most 24 * 61 = 1464 < 2048.

Within a generation the stamp only rises, since finer rows only appear and only rise. A row that was computed from a bad
one, however far below, has a lower stamp than the same row computed from its repair.
"""

from typing import Final

STAMPS: Final = 2048
"""Stamps of one generation: a day of 24 hours of 60 minutes counts 24 * 61. The rollup statements know it."""
MAX_GENERATION: Final = 2**24 // STAMPS - 1
"""The stamp is 24 bits of the version."""


class NoGenerationLeft(Exception):
    """All generations are used up; a migration that widens the version has to come first."""


def next_generation(stored: int, highest: int) -> int:
    """A generation above the stored one and the highest of any row. Raises NoGenerationLeft."""
    generation = 1 + max(stored, highest)
    if generation > MAX_GENERATION:
        raise NoGenerationLeft(f"generation {generation} does not exist; {MAX_GENERATION} is the last")
    return generation


def stamp(generation: int, current_below: int = 0) -> int:
    """The stamp of a row written under a generation, with what it counts below it."""
    return generation * STAMPS + current_below


def generation_of(stamped: int) -> int:
    """The generation a row was written under."""
    return stamped // STAMPS


def counted(stamped: int, generation: int) -> int:
    """The share of a finer row in the stamp of a coarser one that is written under a generation."""
    return 1 + stamped % STAMPS if generation_of(stamped) >= generation else 0
