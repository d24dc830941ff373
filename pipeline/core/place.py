"""Partitions by their topic: a number alone says nothing where there may be several topics."""

from collections.abc import Container, Iterable
from typing import NamedTuple


class Place(NamedTuple):
    """A partition. Equals and hashes like aiokafka's TopicPartition of the same topic and number."""

    topic: str
    number: int

    def __str__(self) -> str:
        """As people name it: topic/partition."""
        return f"{self.topic}/{self.number}"

    def at(self, offset: int) -> str:
        """An offset of it, as people name it and as commands take it: topic/partition/offset."""
        return f"{self}/{offset}"


def stored_place(topic: str, number: int) -> Place:
    """The partition of a stored fact. One of before topics were kept has none, and is shown as of topic ?."""
    return Place(topic or "?", number)


def is_leading(assigned: Container[Place], existing: Iterable[Place]) -> bool:
    """Whether a worker that is assigned these rolls, sweeps and looks for violations.

    The one that has the smallest of the partitions that exist of the topics on its list does, also while that one waits
    for something. Two at once, around a rebalance or with different lists, do the same work twice and nothing else.
    """
    return min(existing, default=None) in assigned
