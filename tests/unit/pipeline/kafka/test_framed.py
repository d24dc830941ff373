"""Records in frames: a schema that cannot be had keeps its partition alone from going on, and loses nothing."""

from collections.abc import Collection

import pytest
from aiokafka import TopicPartition

from pipeline.core import waiting
from pipeline.core.envelope.frames import Looked, Reader, SchemaKey
from pipeline.core.flush import Batch
from pipeline.core.waiting import Cause
from pipeline.kafka import fetcher
from tests.support import reading
from tests.support.fake_broker import tp_of
from tests.support.places import P0, P1
from tests.support.reading import batch, on

AWAY = Cause("the registry is away", "start it", passes=True, is_elsewhere=True)
REFUSES = Cause("the registry refuses", "set a password", is_elsewhere=True)


def framed(key: int, text: bytes = b"\2x") -> bytes:
    return b"\0" + key.to_bytes(4, "big") + text


class Known:
    """Schemas of which a test says which are known, and why others lack."""

    def __init__(self, *keys: SchemaKey, cause: Cause = AWAY) -> None:
        self.keys, self.cause = {*keys}, cause
        self.looks: list[set[SchemaKey]] = []

    def look(self, keys: Collection[SchemaKey]) -> Looked:
        self.looks.append({*keys})
        return Looked(
            {key: reader_named(key) for key in keys if key in self.keys},
            {key: self.cause for key in keys if key not in self.keys},
        )


def reader_named(key: SchemaKey) -> Reader:
    return lambda payload: f"{key}".encode() + payload


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(fetcher, "PREFETCH_SECONDS", 0.001)


def test_records_before_a_schema_that_lacks_go_on_and_the_rest_waits_alone() -> None:
    schemas = Known(7)
    batches = {0: [batch(b"{}", framed(7), framed(8), framed(7), framed(9))], 1: [batch(b"x")]}

    async def test(reader: reading.Reader) -> None:
        reader.ours.schemas = schemas
        await reader.until(lambda: bool(reader.reasons()))
        assert (reader.offsets[0], reader.position()) == ([0, 1], 2)
        assert schemas.looks[0] == {7, 8, 9}, "all are asked for at once"
        assert reader.reasons() == [
            "partition message-events/0 waits at offset 2: the registry is away (for 5 s); start it"
        ]
        batches[1].append(batch(b"y", at=1))
        await reader.until(lambda: reader.offsets.get(1) == [0, 1])
        assert reader.offsets[0] == [0, 1]
        schemas.keys.add(8)
        await reader.until(lambda: len(reader.offsets[0]) == 4)
        schemas.keys.add(9)
        await reader.until(lambda: reader.position() == 5)
        assert (reader.offsets[0], reader.reasons()) == ([0, 1, 2, 3, 4], [])

    on(batches)(test)


def test_a_partition_that_waits_for_a_schema_is_not_fetched_meanwhile() -> None:
    schemas = Known()

    async def test(reader: reading.Reader) -> None:
        reader.ours.schemas = schemas
        await reader.until(lambda: bool(reader.reasons()))
        asked = sum(0 in x for x in reader.broker.asked)
        for _ in range(20):
            await reader.once()
        assert sum(0 in x for x in reader.broker.asked) == asked
        assert len(schemas.looks) > 20, "but somebody still wants it"

    on({0: [batch(framed(7))], 1: []})(test)


def test_readers_go_with_their_records() -> None:
    async def test(reader: reading.Reader) -> None:
        reader.ours.schemas = Known(7)
        found: dict[TopicPartition, list[Batch]] = {}
        while not found:
            found = await reader.once()
        (taken,) = found[tp_of(0)]
        assert taken.readers is not None
        assert taken.readers[7](b"x") == b"7x"

    on({0: [batch(framed(7))]})(test)


def test_without_a_registry_nothing_waits() -> None:
    async def test(reader: reading.Reader) -> None:
        await reader.until(lambda: reader.position() == 1)
        assert reader.reasons() == []

    on({0: [batch(framed(7))]})(test)


def test_a_registry_that_is_away_is_no_broker_that_does_not_answer() -> None:
    """Else the ends of the log would not be asked for, and Kafka would be called silent."""

    async def test(reader: reading.Reader) -> None:
        reader.ours.schemas = Known()
        await reader.until(lambda: P0 in reader.ours.waiting.places)
        assert reader.ours.waiting.unanswered == frozenset()
        assert P1 not in reader.ours.waiting.places

    on({0: [batch(framed(7))], 1: [batch(b"x")]})(test)


def test_a_mistake_in_the_settings_is_a_reason_at_once() -> None:
    async def test(reader: reading.Reader) -> None:
        reader.ours.schemas = Known(cause=REFUSES)
        await reader.until(lambda: P0 in reader.ours.waiting.places)
        now = reader.ours.monotonic()
        assert [*reader.ours.waiting.sentences(now)] == [P0]

    on({0: [batch(framed(7))]})(test)


def test_a_seek_ends_the_wait_for_what_is_no_longer_to_be_read() -> None:
    async def test(reader: reading.Reader) -> None:
        reader.ours.schemas = Known()
        await reader.until(lambda: P0 in reader.ours.waiting.places)
        reader.consumer.seek(tp_of(0), 1)
        reader.ours.ledger.begin(P0, 1, 0.0)
        await reader.until(lambda: reader.position() == 2)
        assert reader.offsets[0] == [1]

    on({0: [batch(framed(7), b"{}")]})(test)
