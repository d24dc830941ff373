"""From an assignment to the first fetch: find the starting points, in the background and until it works.

::

    assigned ──► begin: the ledger forgets ──► offsets of the log ──► choice (ClickHouse) ──► seek and ledger.begin
                                                       ▲                     │
                                                       └──── not yet ◄───────┘

Nothing is handed on until then, and the seek throws away what aiokafka has fetched meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.start import Offsets, Start
from pipeline.errors import SinkUnavailable
from pipeline.kafka.offsets import assigned, read_offsets

log = logging.getLogger(__name__)

FORGOTTEN_SECONDS = 10.0
"""Partitions that are assigned and not read for so long are started again."""
START_RETRY_SECONDS = 0.5


@dataclass(slots=True)
class Starting:
    """Starts partitions, on the loop of the thread that owns the consumer. Times are monotonic seconds.

    ``choose`` blocks on ClickHouse, so that it is called in a thread; it may raise SinkUnavailable.
    """

    ledger: Ledger
    choose: Callable[[Mapping[Place, Offsets]], Mapping[Place, Start]]
    fatal: Callable[[BaseException], None]
    monotonic: Callable[[], float]
    is_over: bool = False
    """Set when the worker leaves, from its own thread. Faust then seeks once more, since nothing flows; that would end
    the readings whose last offsets are still to be committed."""
    _task: asyncio.Task[None] | None = None
    _at_odds_since: float | None = None

    def begin(self, consumer: AIOKafkaConsumer) -> None:
        """Stop reading, and start what is assigned now. An earlier start is abandoned."""
        if self.is_over:
            return
        self.ledger.stop(self.ledger.partitions)
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._start_until_done(consumer, assigned(consumer)))

    async def _start_until_done(self, consumer: AIOKafkaConsumer, partitions: frozenset[Place]) -> None:
        while partitions:
            try:
                await self._start(consumer, partitions)
                return
            except (KafkaError, SinkUnavailable) as error:
                log.warning("cannot start reading yet: %s", error)
                await asyncio.sleep(START_RETRY_SECONDS)
            except Exception as error:
                self.fatal(error)
                return

    async def _start(self, consumer: AIOKafkaConsumer, partitions: frozenset[Place]) -> None:
        offsets = await read_offsets(consumer, partitions)
        starts = await asyncio.get_running_loop().run_in_executor(None, self.choose, offsets)
        if assigned(consumer) != partitions:
            return  # rebalanced meanwhile; a newer start is on its way
        # No pause from here on: a partition that is lost in between cannot be sought.
        now = self.monotonic()
        for place, start in starts.items():
            consumer.seek(TopicPartition(*place), start.offset)
            self.ledger.begin(place, start.offset, start.known_offset, now)
        log.info("reading %s", {p.number: s.offset for p, s in sorted(starts.items())})

    def start_forgotten(self, consumer: AIOKafkaConsumer, now: float) -> None:
        """Begin again where partitions have been assigned for FORGOTTEN_SECONDS and are neither read nor being started.

        Faust announces every assignment; should it ever fail to, these partitions would stand still.
        """
        wanted = assigned(consumer)
        is_starting = self._task is not None and not self._task.done()
        if is_starting or wanted == self.ledger.partitions:
            self._at_odds_since = None
        elif self._at_odds_since is None:
            self._at_odds_since = now
        elif now - self._at_odds_since > FORGOTTEN_SECONDS:
            reading = sorted(p.number for p in self.ledger.partitions)
            log.warning("assigned %s, reading %s; starting again", sorted(p.number for p in wanted), reading)
            self._at_odds_since = None
            self.begin(consumer)

    def restart(self, consumer: AIOKafkaConsumer, place: Place, offset: int, now: float) -> None:
        """Read a partition again from an offset: what was taken since did not arrive."""
        tp = TopicPartition(*place)
        if tp in consumer.assignment() and place in self.ledger.partitions:
            consumer.seek(tp, offset)
            self.ledger.begin(place, offset, self.ledger.known_offset(place), now)
