"""The roller's part of a worker: who rolls, over which topics, and what holds `as_of`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

from pipeline.core.effects import Steps
from pipeline.core.place import Place, is_leading
from pipeline.core.protocol import Rolled, roll_steps
from pipeline.worker.health import Health
from pipeline.worker.log import Log


@dataclass(slots=True)
class Rolling:
    """Rolls over what holds `as_of`: the topics on this worker's list, and all others that are stored.

    Which those are is known from the roll before. The first one, and one that meets a topic which somebody else has
    begun to read since, only learns of them: the metadata have to be asked for before it is known what they hold by.
    """

    listed: frozenset[str]
    kafka: Log
    health: Health
    _topics: frozenset[str] = frozenset()
    _history: Mapping[Place, int] = field(default_factory=dict)

    async def leads(self) -> bool:
        """Tell whether this worker is to roll, to sweep, and to watch for violations."""
        existing = await self.kafka.existing(self.listed)
        self.health.is_leading = is_leading(await self.kafka.assigned(), chain.from_iterable(existing.values()))
        if not self.health.is_leading:  # somebody else knows by now
            self.health.holding, self._history = (), {}
        return self.health.is_leading

    async def steps(self) -> Steps[Rolled]:
        """The steps of the next roll."""
        return roll_steps(self.listed, await self.kafka.existing(self.listed | self._topics))

    def rolled(self, rolled: Rolled) -> None:
        """Note what a roll has found."""
        self._topics, self._history = rolled.topics, rolled.history
        self.health.holding = rolled.holding

    async def look(self, now_ms: int) -> None:
        """Tell health which topics on the list are missing, and how much is left of history that holds `as_of`."""
        existing = await self.kafka.existing(self.listed)
        self.health.missing_topics({topic for topic, places in existing.items() if not places}, now_ms)
        history, left = self._history, dict[str, int]()
        ends = await self.kafka.ends_of(history) if history else {}
        for place in ends:
            left[place.topic] = left.get(place.topic, 0) + max(0, ends[place] - history[place])
        self.health.history = {topic: records for topic, records in left.items() if records}
