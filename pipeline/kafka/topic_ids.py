"""The id that Kafka gives a topic when it is made: one that is made anew under its name has another.

aiokafka asks for metadata in a version that has none yet, so the question and its answer are spelled out here.
"""

import uuid
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

METADATA, SINCE_VERSION = 3, 10
NO_ID = ""
"""Of brokers before 2.8, and of other servers that speak Kafka's protocol."""
_ID = ("high", Int64), ("low", Int64)
_NO_TAGS: dict[int, bytes] = {}
_TEXT = CompactString("utf-8")


class _Answer(Response):
    API_KEY, API_VERSION = METADATA, SINCE_VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("tags", TaggedFields)),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                *_ID,
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("number", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("in_sync", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("operations", Int32),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = METADATA, SINCE_VERSION
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(*_ID, ("name", _TEXT), ("tags", TaggedFields))),
        ("may_create", Boolean),
        ("with_rights_on_cluster", Boolean),
        ("with_rights_on_topics", Boolean),
        ("tags", TaggedFields),
    )


class _Ask(Request[_Question]):
    API_KEY = METADATA

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = [(0, 0, name, _NO_TAGS) for name in topics]

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class(self._topics, False, False, False, _NO_TAGS)


class Identity(NamedTuple):
    """A topic as it is: its id, NO_ID where the broker knows of none, and how many partitions it has, of one answer."""

    topic_id: str = NO_ID
    partitions: int = 0


async def read_topic_ids(client: AIOKafkaClient, topics: Iterable[str]) -> dict[str, Identity]:
    """The identity of each topic that the broker tells about. Raises KafkaError where it does not answer."""
    wanted = sorted(set(topics))
    try:
        answer = await client.send(client.get_random_node(), _Ask(wanted))
    except (IncompatibleBrokerVersion, NotImplementedError):  # the second where no version fits
        return dict.fromkeys(wanted, Identity())
    return {
        name: Identity(_spelled(high, low), len(partitions))
        for code, name, high, low, _, partitions, *_ in answer.topics
        if not code
    }


def _spelled(high: int, low: int) -> str:
    whole = (high & (1 << 64) - 1) << 64 | low & (1 << 64) - 1
    return str(uuid.UUID(int=whole)) if whole else NO_ID
