"""A partition's type: the same as the clients', and which partitions make a worker the one that rolls."""

from collections.abc import Callable

import faust.types
import pytest
from aiokafka import TopicPartition

from pipeline.core.place import Place, is_leading
from tests.support.places import P0, P1, P2


@pytest.mark.parametrize("kind", [TopicPartition, faust.types.TP])
def test_a_place_is_found_among_a_client_s_partitions_and_theirs_among_places(
    kind: Callable[..., tuple[str, int]],
) -> None:
    """Fetching looks for aiokafka's partitions among those of the ledger and of Faust."""
    theirs = kind(*P1)
    assert theirs in frozenset({P0, P1})
    assert P1 in frozenset({theirs})
    assert theirs not in frozenset({P0, P2})
    assert Place(*theirs) == P1


def test_places_of_two_topics_are_two_places_in_the_order_of_their_topics() -> None:
    a, b = Place("a", 1), Place("b", 1)
    assert a != b
    assert sorted([b, Place("b", 0), a]) == [a, Place("b", 0), b]


def test_the_worker_with_the_smallest_partition_that_exists_is_leading() -> None:
    other = Place("other-events", 0)
    assert is_leading({P1, P0}, {P0, P1, P2, other})
    assert not is_leading({P1, P2, other}, {P0, P1, P2, other})
    assert is_leading({P1}, {P1, P2}), "a topic may have lost its first partition, or be missing"
    assert not is_leading(frozenset(), {P0})
    assert not is_leading({P0}, ())
