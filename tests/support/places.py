"""Partitions of the topic that tests and simulations have."""

from pipeline.core.place import Place

TOPIC = "message-events"
P0, P1, P2, P3 = (Place(TOPIC, number) for number in range(4))


def place(number: int) -> Place:
    """A partition of the topic."""
    return Place(TOPIC, number)
