"""Partitions by their topic: a number alone says nothing where there may be several topics."""

from collections.abc import Iterable
from typing import NamedTuple


class Place(NamedTuple):
    """A partition. Equals and hashes like aiokafka's TopicPartition of the same topic and number."""

    topic: str
    number: int

    def at(self, offset: int) -> str:
        """An offset of it, as people name it and as commands take it: topic/partition/offset."""
        return f"{self.topic}/{self.number}/{offset}"


def is_leading(places: Iterable[Place]) -> bool:
    """Whether a worker that is assigned these rolls, sweeps and looks for violations.

    The one that has partition 0 does, also while that one waits for something. Two at once, around a rebalance, do the
    same work twice and nothing else.
    """
    return any(place.number == 0 for place in places)
