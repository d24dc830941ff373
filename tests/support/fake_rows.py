"""Rows of the fake store."""

import zlib
from dataclasses import dataclass

from pipeline.core.generation import generation_of

Fact = tuple[str, str, int, str, str, int, int]
"""(org_id, event_id, type, channel, error_code, cost_micros, occurred_ms)"""
Identity = tuple[int, str, str, int]
"""(minute, org_id, event_id, type)"""
Version = tuple[int, int, int]


def rank_of(fact: Fact) -> int:
    """A hash of the content, as the column ``rank`` is one."""
    return zlib.crc32(repr(fact[2:]).encode())


@dataclass(frozen=True)
class Row:
    """A rollup row, with the very facts it was computed from instead of sums."""

    version: Version
    facts: frozenset[Fact]
    computed_at: int = 0
    """Ticks at the beginning of its statement, by which deletions tell it from others."""
    began_ms: int = 0
    """The same by the store's clock, by which readers know what has changed."""

    @property
    def generation(self) -> int:
        return generation_of(self.version[0])
