"""A batch as it is sent, read by aiokafka's own parser, and by ours where that refuses it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.place import Place
from pipeline.kafka import raw_produce
from pipeline.kafka.batches import unpack_fetch
from pipeline.kafka.raw_produce import RawRecord, batch_of, is_plain, produce_raw
from pipeline.kafka.transactions import Aborted
from schemas.settings import read_settings
from tests.support.places import P0, P1, P2, P3

NOW_MS = 1_800_000_000_123
some_bytes = st.none() | st.binary(max_size=300)


@given(some_bytes, some_bytes, st.lists(st.tuples(st.binary(max_size=200), some_bytes), max_size=3))
def test_a_record_is_sent_as_the_bytes_that_it_has(
    key: bytes | None, value: bytes | None, headers: list[tuple[bytes, bytes | None]]
) -> None:
    batch = batch_of(RawRecord(P3, NOW_MS, key, value, headers))
    assert DefaultRecordBatch(batch).validate_crc()
    ((found,),) = [part.records for part in unpack_fetch(batch, 0, 1, Aborted(()))]
    names = [(n.encode() if isinstance(n, str) else n, v) for n, v in found.headers]
    assert (found.offset, found.timestamp, found.key, found.value, names) == (0, NOW_MS, key, value, headers)


@pytest.mark.parametrize(
    ("name", "plain"), [(b"", True), ("ü".encode(), True), (b"\xff", False), (b"\xed\xa0\x80", False)]
)
def test_only_names_that_are_utf_8_are_for_every_client(name: bytes, plain: bool) -> None:
    assert is_plain([(b"first", None), (name, b"")]) is plain


def test_a_broker_that_goes_away_midway_does_not_hide_what_it_has_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        """Takes the first record, is then away, and has no leader for partition 2."""

        def __init__(self, **_: Any) -> None:
            self.cluster = SimpleNamespace(
                leader_for_partition=lambda tp: -1 if tp.partition == 2 else 1, partitions_for_topic=lambda _: {0, 1, 2}
            )
            self.answers: list[Any] = [SimpleNamespace(topics=[("t", [(0, 0, 5)])]), KafkaConnectionError("away")]

        async def bootstrap(self) -> None: ...
        async def add_topic(self, topic: str) -> None: ...
        async def force_metadata_update(self) -> None: ...
        async def close(self) -> None: ...

        async def send(self, node: int, request: Any) -> Any:
            if isinstance(answer := self.answers.pop(0), Exception):
                raise answer
            return answer

    monkeypatch.setattr(raw_produce, "AIOKafkaClient", Client)
    records = [RawRecord(place, NOW_MS, None, b"", []) for place in (P0, P1, P2)]
    assert asyncio.run(produce_raw(read_settings({}), records)) == [0, 7, 5]


def test_each_record_goes_to_its_own_topic_and_to_a_partition_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    partitions, asked, sent = {"a": {0, 1, 2, 3}, "b": {0, 1, 2}}, list[str](), list[tuple[str, int]]()

    class Client:
        def __init__(self, **_: Any) -> None:
            self.cluster = SimpleNamespace(leader_for_partition=lambda _: 1, partitions_for_topic=partitions.get)

        async def bootstrap(self) -> None: ...
        async def force_metadata_update(self) -> None: ...
        async def close(self) -> None: ...

        async def add_topic(self, topic: str) -> None:
            asked.append(topic)

        async def send(self, node: int, request: Any) -> Any:
            ((topic, ((number, _),)),) = request._topics
            sent.append((topic, number))
            return SimpleNamespace(topics=[(topic, [(number, 0, 5)])])

    monkeypatch.setattr(raw_produce, "AIOKafkaClient", Client)
    records = [RawRecord(Place(*at), NOW_MS, None, b"", []) for at in (("b", 2), ("a", 3), ("b", 3), ("b", 7))]
    assert asyncio.run(produce_raw(read_settings({}), records)) == [0] * 4
    assert asked == ["a", "b"]
    assert sent == [("b", 2), ("a", 3), ("b", 0), ("b", 1)]
