"""The dry run of a replay: reads and decodes as a replay does, and compares with what is stored. Writes no facts."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Erasures, ReadErasures, ReadState, State
from pipeline.core.flush import Chunk
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter
from pipeline.errors import PipelineError, Stop
from pipeline.repair.replay_reading import Reading, find_bounds, open_consumer
from schemas import tables
from schemas.grain import MS_PER_SECOND, Grain
from schemas.sharding import alter_target

PLACES_ASKED = 200
"""A server takes no parameter of more than 128 KiB; with the longest name of a topic these are half of it."""
KEPT_SECONDS = 7 * Grain.DAY.seconds
"""Notes of a dry run live for at least so long, unless it ends before: a killed one leaves them behind."""


class IdentitiesGone(Stop):
    """A dry run took so long that what it had noted has expired."""


@dataclass(slots=True)
class Forecast:
    """Records that would be read, counted by their fate.

    ``duplicates`` are valid events that are facts already, or come more than once in the span. Known dead letters are
    stored. Records ``out_of_time`` (too late or in the future) and ``without_schema`` (which the registry does not
    know) get no dead letter from a replay.
    """

    records: int = 0
    new_facts: int = 0
    duplicates: int = 0
    new_dead_letters: int = 0
    known_dead_letters: int = 0
    erased: int = 0
    out_of_time: int = 0
    without_schema: int = 0


@dataclass(slots=True)
class DryRun(Reading):
    """One dry run. The identities that it meets are kept in a table of their own until it ends.

    ``on_progress`` is told the offsets passed, as a replay's is.
    """

    store: Store
    on_start: Callable[[int], None] = lambda _: None
    on_progress: Callable[[int], None] = lambda _: None
    _batch_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    async def run(self) -> Forecast:
        """Read the span and count. Raises KafkaError, SinkUnavailable or Stop."""
        state: State = await asyncio.to_thread(self.store.perform, ReadState())  # raises for another version
        try:
            return await self._forecast(state)
        finally:
            await asyncio.to_thread(self.forget)

    async def _forecast(self, state: State) -> Forecast:
        forecast, valid = Forecast(), 0
        erasures: Erasures = await asyncio.to_thread(self.store.perform, ReadErasures())
        reached: dict[Place, int] = {}
        async with open_consumer(self.settings) as consumer:
            bounds = await find_bounds(consumer, self.topics, self.wanted)
            self.on_start(sum(b.end - b.start for b in bounds.values()))
            async for chunk in self.chunks(consumer, bounds, state):
                valid += await asyncio.to_thread(self.look_at, chunk, erasures, forecast)
                reached |= {p: end.next_offset for p, end in chunk.reached().items()}
                self.on_progress(sum(next_offset - bounds[p].start for p, next_offset in reached.items()))
        forecast.new_facts = await asyncio.to_thread(self.count_new, valid)
        forecast.duplicates = valid - forecast.new_facts
        return forecast

    def look_at(self, chunk: Chunk, erasures: Erasures, forecast: Forecast) -> int:
        """Note the identities and count the dead letters of a chunk; returns how many valid events it has."""
        forecast.records += chunk.records
        erased = chunk.forget(erasures)
        forecast.erased += erased
        if len(chunk.columns):
            self._keep(chunk)
        forecast.out_of_time += chunk.out_of_time
        forecast.without_schema += chunk.without_schema
        known = known_letters(self.store, chunk.letters)
        forecast.known_dead_letters += known
        forecast.new_dead_letters += len(chunk.letters) - known
        return len(chunk.columns)

    def _keep(self, chunk: Chunk) -> None:
        """Note the identities, as created later than now: their table forgets rows an hour after that.

        A long dry run would otherwise have forgotten in its end what it has met in its beginning.
        """
        columns = chunk.columns
        created_at = self.store.clock_ms() // MS_PER_SECOND + KEPT_SECONDS
        minutes = [Grain.MINUTE.floor_ms(at) for at in columns.occurred_ms]
        keys = pa.table(
            {
                "batch": pa.array([self._batch_id] * len(columns), pa.string()),
                "minute": pa.array(minutes, pa.uint32()),
                "org_id": pa.array(columns.org_id, pa.string()),
                "event_id": pa.array(columns.event_id, pa.string()),
                "type": pa.array(columns.type, pa.int8()),
                "created_at": pa.array([created_at] * len(columns), pa.uint32()),
            }
        )
        self.store.insert_arrow("noting identities", tables.REPLAY_KEYS, keys)

    def count_new(self, noted: int) -> int:
        """Number of different identities that are no facts yet, counted day by day to bound memory.

        Raises IdentitiesGone where fewer are left than were ``noted``.
        """
        batch = self._batch_id
        days = [day for (day,) in self.store.rows("counting", sql("replay/dry_run_days"), batch=batch)]
        counts = [self.store.rows("counting", sql("replay/dry_run"), batch=batch, day=day)[0] for day in days]
        if sum(int(rows) for *_, rows in counts) < noted:
            days_kept = KEPT_SECONDS // Grain.DAY.seconds
            raise IdentitiesGone(
                f"ClickHouse has dropped what this dry run noted; it keeps that for {days_kept} days. Look at shorter "
                "spans, one after the other"
            )
        return sum(int(met) - int(known) for met, known, _ in counts)

    def forget(self) -> None:
        """Have the identities deleted; by itself later, where ClickHouse does not take that."""
        with contextlib.suppress(PipelineError):
            target = alter_target(tables.REPLAY_KEYS, self.store.endpoint.cluster)
            self.store.write(
                "forgetting identities", sql("replay/forget").replace("TARGET", target), batch=self._batch_id
            )


def known_letters(store: Store, letters: Sequence[DeadLetter]) -> int:
    """The number of letters that are stored already."""
    places = [(store.cluster_id, *x.place, x.offset, store.incarnations.get(x.place, 0)) for x in letters]
    asked = [places[start : start + PLACES_ASKED] for start in range(0, len(places), PLACES_ASKED)]
    return sum(int(store.rows("counting", sql("replay/known_letters"), places=portion)[0][0]) for portion in asked)
