"""From an assignment to the first fetch: find the starting points, in the background and until it works.

::

    assigned ──► begin: the ledger forgets ──► offsets of the log ──► choice (ClickHouse) ──► seek and ledger.begin
                                                       ▲                     │
                                                       └──── not yet ◄───────┘

Each partition starts as soon as it can, whatever keeps another one. Nothing is handed on until then, and the seek
throws away what was fetched meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.start import Gap, Offsets, Start
from pipeline.core.waiting import Waiting
from pipeline.errors import SinkUnavailable
from pipeline.kafka.causes import gap_cause, note_wait
from pipeline.kafka.offsets import assigned, read_offsets

log = logging.getLogger(__name__)

FORGOTTEN_SECONDS = 10.0
"""Partitions that are assigned, are not read and wait for nothing, are started again after so long."""
START_RETRY_SECONDS = 0.5


@dataclass(slots=True)
class Starting:
    """Starts partitions, on the loop of the thread that owns the consumer. Times are monotonic seconds.

    ``choose`` blocks on ClickHouse, so that it is called in a thread; it may raise SinkUnavailable. ``consumer`` is
    asked for when it is needed, since it exists only once the thread has started.
    """

    ledger: Ledger
    waiting: Waiting
    choose: Callable[[Mapping[Place, Offsets]], Mapping[Place, Start | Gap]]
    fatal: Callable[[BaseException], None]
    monotonic: Callable[[], float]
    is_over: bool = False
    """Set when the worker leaves, from its own thread. Faust then seeks once more, since nothing flows; that would end
    the readings whose last offsets are still to be committed."""
    _wanted: set[Place] = field(default_factory=set)
    """Partitions that are to be started."""
    _task: asyncio.Task[None] | None = None
    _at_odds_since: float | None = None

    def begin(self, consumer: AIOKafkaConsumer) -> None:
        """Stop reading, and start what is assigned now. An earlier start is abandoned."""
        if self.is_over:
            return
        self.ledger.stop(self.ledger.partitions)
        self._wanted = set(assigned(consumer))
        self.waiting.only(frozenset(self._wanted))
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._start_until_done(consumer, assigned(consumer)))

    def begin_one(self, consumer: AIOKafkaConsumer, place: Place) -> None:
        """Start a partition anew: where it stands there is nothing to read any more."""
        if self.is_over or place not in assigned(consumer):
            return
        self.ledger.stop([place])
        self._wanted.add(place)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._start_until_done(consumer, assigned(consumer)))

    async def _start_until_done(self, consumer: AIOKafkaConsumer, ours: frozenset[Place]) -> None:
        while self._wanted:
            if assigned(consumer) != ours:  # rebalanced meanwhile; a newer start is on its way
                self._wanted.clear()
                return
            due = frozenset(p for p in self._wanted if self.waiting.is_due(p, self.monotonic()))
            try:
                if due:
                    await self._start(consumer, ours, due)
            except SinkUnavailable as error:
                log.warning("cannot start reading yet: %s", error)
            except Exception as error:
                self.fatal(error)
                return
            if self._wanted:
                await asyncio.sleep(START_RETRY_SECONDS)

    async def _start(self, consumer: AIOKafkaConsumer, ours: frozenset[Place], places: frozenset[Place]) -> None:
        """Start those of these partitions that can be started; the others wait."""
        offsets, failed = await read_offsets(consumer, places)
        for place, cause in failed.items():
            note_wait(self.waiting, place, None, cause, self.monotonic())
        if not offsets:
            return
        choices = await asyncio.get_running_loop().run_in_executor(None, self.choose, offsets)
        if assigned(consumer) != ours:
            return
        # No pause from here on: a partition that is lost in between cannot be sought.
        for place, choice in choices.items():
            if isinstance(choice, Gap):
                note_wait(self.waiting, place, choice.from_offset, gap_cause(place, choice), self.monotonic())
            else:
                self._begin_reading(consumer, place, choice)
        if starts := {str(p): c.offset for p, c in sorted(choices.items()) if isinstance(c, Start)}:
            log.info("reading %s", starts)

    def _begin_reading(self, consumer: AIOKafkaConsumer, place: Place, start: Start) -> None:
        consumer.seek(TopicPartition(*place), start.offset)
        self.ledger.begin(place, start.offset, self.monotonic())
        self._wanted.discard(place)
        self.waiting.over(place)

    def start_forgotten(self, consumer: AIOKafkaConsumer, now: float) -> None:
        """Begin again where partitions have been assigned for FORGOTTEN_SECONDS and are neither read nor being started.

        Faust announces every assignment; should it ever fail to, these partitions would stand still.
        """
        wanted = assigned(consumer)
        if wanted == self.ledger.partitions | self._wanted:
            self._at_odds_since = None
        elif self._at_odds_since is None:
            self._at_odds_since = now
        elif now - self._at_odds_since > FORGOTTEN_SECONDS:
            log.warning("assigned %s; reading %s; starting again", _names(wanted), _names(self.ledger.partitions))
            self._at_odds_since = None
            self.begin(consumer)

    def restart(self, consumer: AIOKafkaConsumer, place: Place, offset: int, now: float) -> None:
        """Read a partition again from an offset: what was taken since did not arrive."""
        tp = TopicPartition(*place)
        if tp in consumer.assignment() and place in self.ledger.partitions:
            consumer.seek(tp, offset)
            self.ledger.begin(place, offset, now)


def _names(places: Iterable[Place]) -> str:
    return ", ".join(map(str, sorted(places))) or "none"
