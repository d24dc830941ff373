"""The dry run of a replay: reads and decodes as a replay does, and compares with what is stored. Writes no facts."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Erasures, ReadErasures, ReadState, State
from pipeline.core.flush import Chunk
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter
from pipeline.repair.replay_reading import Reading, find_bounds, open_consumer
from schemas import tables
from schemas.grain import Grain

PLACES_ASKED = 200
"""A server takes no parameter of more than 128 KiB; with the longest name of a topic these are half of it."""


@dataclass(slots=True)
class Forecast:
    """Records that would be read, counted by their fate.

    ``duplicates`` are valid events that are facts already, or come more than once in the span. Known dead letters are
    stored. What is ``out_of_time``, too late or in the future, gets no dead letter from a replay.
    """

    records: int = 0
    new_facts: int = 0
    duplicates: int = 0
    new_dead_letters: int = 0
    known_dead_letters: int = 0
    erased: int = 0
    out_of_time: int = 0


@dataclass(slots=True)
class DryRun(Reading):
    """One dry run. The identities that it meets are kept in a table of their own, for an hour.

    ``on_progress`` is told the offsets passed, as a replay's is.
    """

    store: Store
    on_start: Callable[[int], None] = lambda _: None
    on_progress: Callable[[int], None] = lambda _: None

    async def run(self) -> Forecast:
        """Read the span and count. Raises KafkaError, SinkUnavailable or Stop."""
        forecast, batch_id, valid = Forecast(), str(uuid.uuid4()), 0
        state: State = await asyncio.to_thread(self.store.perform, ReadState())  # raises for another version
        erasures: Erasures = await asyncio.to_thread(self.store.perform, ReadErasures())
        reached: dict[Place, int] = {}
        async with open_consumer(self.settings) as consumer:
            bounds = await find_bounds(consumer, self.settings.kafka_topic, self.wanted)
            self.on_start(sum(b.end - b.start for b in bounds.values()))
            async for chunk in self.chunks(consumer, bounds, state):
                valid += await asyncio.to_thread(self._look_at, chunk, erasures, batch_id, forecast)
                reached |= {p: end.next_offset for p, end in chunk.reached().items()}
                self.on_progress(sum(next_offset - bounds[p].start for p, next_offset in reached.items()))
        forecast.new_facts = await asyncio.to_thread(self._count_new, batch_id)
        forecast.duplicates = valid - forecast.new_facts
        return forecast

    def _look_at(self, chunk: Chunk, erasures: Erasures, batch_id: str, forecast: Forecast) -> int:
        """Note the identities and count the dead letters of a chunk; returns how many valid events it has."""
        forecast.records += chunk.records
        erased = chunk.forget(erasures)
        forecast.erased += erased
        if len(chunk.columns):
            self._keep(chunk, batch_id)
        forecast.out_of_time += chunk.out_of_time
        known = known_letters(self.store, chunk.letters)
        forecast.known_dead_letters += known
        forecast.new_dead_letters += len(chunk.letters) - known
        return len(chunk.columns)

    def _keep(self, chunk: Chunk, batch_id: str) -> None:
        columns = chunk.columns
        minutes = [Grain.MINUTE.floor_ms(at) for at in columns.occurred_ms]
        keys = pa.table(
            {
                "batch": pa.array([batch_id] * len(columns), pa.string()),
                "minute": pa.array(minutes, pa.uint32()),
                "org_id": pa.array(columns.org_id, pa.string()),
                "event_id": pa.array(columns.event_id, pa.string()),
                "type": pa.array(columns.type, pa.int8()),
            }
        )
        self.store.insert_arrow("noting identities", tables.REPLAY_KEYS, keys)

    def _count_new(self, batch_id: str) -> int:
        """Number of different identities that are no facts yet, counted day by day to bound memory."""
        days = [day for (day,) in self.store.rows("counting", sql("replay/dry_run_days"), batch=batch_id)]
        counts = [self.store.rows("counting", sql("replay/dry_run"), batch=batch_id, day=day)[0] for day in days]
        return sum(int(met) - int(known) for met, known in counts)


def known_letters(store: Store, letters: Sequence[DeadLetter]) -> int:
    """The number of letters that are stored already."""
    places = [(store.cluster_id, *x.place, x.offset, store.incarnations.get(x.place, 0)) for x in letters]
    asked = [places[start : start + PLACES_ASKED] for start in range(0, len(places), PLACES_ASKED)]
    return sum(int(store.rows("counting", sql("replay/known_letters"), places=portion)[0][0]) for portion in asked)
