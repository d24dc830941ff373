"""The ids of topics: as a broker spells them, and none from one that has none. The real one is asked in test_log.py."""

import asyncio
import uuid
from io import BytesIO
from typing import Any

from aiokafka.client import AIOKafkaClient
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kafka.topic_ids import NO_ID, Identity, _Answer, _Ask, _Question, read_topic_ids

METADATA_KEY = 3


class Broker:
    """Answers with these ids; it speaks versions of the question up to one."""

    def __init__(self, ids: dict[str, uuid.UUID], newest: int = 12) -> None:
        self._ids, self._versions = ids, {METADATA_KEY: (0, newest)}

    def get_random_node(self) -> int:
        return 1

    async def send(self, node: int, ask: _Ask) -> Any:
        question = ask.prepare(self._versions).encode()
        asked = [name for _, _, name, _ in _Question.decode(BytesIO(question)).topics]
        topics: list[Any] = [
            (
                29 if name == "refused" else 0,
                name,
                *_halves(self._ids[name]),
                False,
                [(0, 0, 1, 5, [1], [1], [], {})],
                -1,
                {},
            )
            for name in asked
            if name in self._ids
        ]
        return _Answer.decode(BytesIO(_Answer(0, [(1, "host", 9092, None, {})], "c", 1, topics, -1, {}).encode()))


def _halves(one: uuid.UUID) -> tuple[int, int]:
    """The id as two signed numbers, as Kafka's types have them."""
    high, low = one.int >> 64, one.int & (1 << 64) - 1
    return tuple(n - (1 << 64) if n >> 63 else n for n in (high, low))  # type: ignore[return-value]


def ids_of(broker: Any, *topics: str) -> dict[str, Identity]:
    return asyncio.run(read_topic_ids(broker, topics))


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.uuids(), max_size=3))
def test_ids_are_those_of_the_broker_whatever_their_bits(ids: dict[str, uuid.UUID]) -> None:
    assert ids_of(Broker(ids), *ids) == {name: Identity(str(one) if one.int else NO_ID, 1) for name, one in ids.items()}


def test_of_a_topic_that_is_missing_or_not_told_of_nothing_is_known() -> None:
    known = {name: uuid.UUID(int=7) for name in ("a", "refused")}
    assert ids_of(Broker(known), "a", "b", "refused") == {"a": Identity(str(uuid.UUID(int=7)), 1)}


def test_a_broker_that_knows_no_ids_tells_none() -> None:
    assert ids_of(Broker({"a": uuid.UUID(int=7)}, newest=9), "a") == {"a": Identity(NO_ID, 0)}


def test_the_client_has_what_is_asked_of_it() -> None:
    assert callable(AIOKafkaClient.send)
    assert callable(AIOKafkaClient.get_random_node)
