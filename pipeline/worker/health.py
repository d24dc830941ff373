"""Readiness of a worker: progress within limits, not "the process answers".

A worker waits for ClickHouse and Kafka as long as it takes, and says so. What neither of them explains, a partition
that stands still although both answer, ends the process: whoever supervises it starts it anew.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline import metrics
from pipeline.core.broker_clocks import BrokerClocks
from pipeline.core.effects import State
from pipeline.core.flush import Chunk
from pipeline.core.place import Place
from pipeline.core.protocol import Flushed
from pipeline.peer import FAILING_SECONDS, Peer
from schemas.grain import MS_PER_SECOND, Grain
from schemas.message_event import DeadLetterReason

STALE_SECONDS = 10.0
"""`as_of` may be this much older than the lateness explains."""
STANDING_SECONDS = 8.0
"""A partition that has records to read may stand still for so long."""
STALLED_SECONDS = 60.0
"""A partition that stands still for so long, with no reason to, ends the worker."""
NAMED = 8
"""So many partitions are named in a sentence."""
MISSING_SECONDS = 15.0
"""A topic may be missing from the metadata for so long: they are asked for every 10 s, and it may be away for a moment.
"""
FLOOD_WINDOW_MS = Grain.MINUTE.milliseconds
FLOOD_LETTERS, FLOOD_SHARE = 100, 0.2
"""So many dead letters, and such a share of all records, are a flood: a producer is broken."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of a partition: durable offset (None: not started), since when, whether there is more to read."""

    durable: int | None
    since_ms: int
    has_more: bool


@dataclass(slots=True)
class Health:
    """Reports of the worker's loops, and the verdict.

    ``as_of_ms`` is epoch milliseconds; every other time is of a clock that only runs, in milliseconds, so that setting
    the wall clock changes no interval.
    """

    lateness_seconds: float
    as_of_ms: int = 0
    epoch_ms: int = 0
    """To be added to that clock for epoch milliseconds, by ClickHouse's clock as it was last read."""
    clock_problem: str | None = None
    """The reason not to believe the wall clock."""
    broker_clocks: BrokerClocks = field(default_factory=BrokerClocks)
    sink: Peer = field(default_factory=lambda: Peer("sink"))
    kafka: Peer = field(default_factory=lambda: Peer("Kafka"))
    lag: int = 0
    is_leading: bool = False
    """This worker rolls, sweeps and watches for violations."""
    holding: tuple[Place, ...] = ()
    history: Mapping[str, int] = field(default_factory=dict)
    """Topics that hold `as_of` since they were read less far than it is, with how many of their records are left."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Topics on the list that the metadata do not name, with since when."""
    standing: Mapping[Place, Standing] = field(default_factory=dict)
    waiting: Mapping[Place, str] = field(default_factory=dict)
    """Partitions that cannot go on, with the reason: no fault of this process, so that no watchdog counts them."""
    recent: tuple[tuple[int, int, int], ...] = ()
    """(time, events, dead letters but for tombstones) of the last minute's flushes. Replaced as a whole, since another
    thread reads it."""
    _asked_ms: int = 0
    _excused_ms: int = 0

    def saw(self, state: State) -> None:
        """The state was read."""
        self.as_of_ms = state.as_of_ms
        if state.clock.tells:
            self.epoch_ms = state.clock.theirs_ms - state.clock.before.boot_ms

    def as_of_age_ms(self, now_ms: int) -> int:
        """The age of `as_of` by ClickHouse's clock; only where it is set."""
        return now_ms + self.epoch_ms - self.as_of_ms

    def counted(self, events: int, dead_letters: int, now_ms: int) -> None:
        """A flush made that many events durable, and so many dead letters that are no tombstones."""
        self.recent = (*self._recent(now_ms), (now_ms, events, dead_letters))

    def _recent(self, now_ms: int) -> list[tuple[int, int, int]]:
        return [flush for flush in self.recent if now_ms - flush[0] <= FLOOD_WINDOW_MS]

    def partitions(
        self, assigned: frozenset[Place], durable: Mapping[Place, int], ends: Mapping[Place, int], now_ms: int
    ) -> None:
        """Note how far each assigned partition is durable, and where the log ends, as far as that is known."""
        standing = {}
        for p in assigned:
            before, offset = self.standing.get(p), durable.get(p)
            moved = before is None or before.durable != offset or not before.has_more or p in self.waiting
            has_more = offset is None or ends.get(p, offset) > offset
            standing[p] = Standing(offset, now_ms if before is None or moved else before.since_ms, has_more)
        self.standing = standing
        self.lag = sum(max(0, end - durable.get(p, end)) for p, end in ends.items())

    def missing_topics(self, topics: Iterable[str], now_ms: int) -> None:
        """Note which topics on the list the metadata do not name."""
        self.missing = {topic: self.missing.get(topic, now_ms) for topic in topics}

    def _topics(self, now_ms: int) -> Iterator[str]:
        for topic, since_ms in sorted(self.missing.items()):
            if now_ms - since_ms > MISSING_SECONDS * MS_PER_SECOND:
                yield (
                    f"the topic {topic} does not exist, or this worker may not see it; as_of is held by it only once "
                    "any of it was read. Make it (`msgmetrics migrate --create`), grant DESCRIBE and READ on it, or "
                    "take it out of MSGMETRICS_KAFKA_TOPIC and, if it was ever read, retire it"
                )
        for topic, left in sorted(self.history.items()):
            yield f"as_of stands still until the history of the topic {topic} is read: {left} records are left"

    def _standing_still(self, now_ms: int, limit_seconds: float, excused_ms: int = 0) -> Iterator[str]:
        for p, x in sorted(self.standing.items()):
            still_ms = now_ms - max(x.since_ms, excused_ms)
            if x.has_more and p not in self.waiting and still_ms > limit_seconds * MS_PER_SECOND:
                seconds = still_ms // MS_PER_SECOND
                name = f"partition {p}"
                if x.durable is None:
                    yield f"{name} is assigned to this worker, which has not begun to read it for {seconds} s"
                else:
                    yield f"{name} has stood at offset {x.durable} for {seconds} s with records to read"

    def _flood(self, now_ms: int) -> str | None:
        """The reason to call the dead letters of the last minute a flood, or None."""
        recent = self._recent(now_ms)
        events, dead = sum(flush[1] for flush in recent), sum(flush[2] for flush in recent)
        if dead < FLOOD_LETTERS or dead < FLOOD_SHARE * (events + dead):
            return None
        return f"{dead} of {events + dead} records of the last minute became dead letters; look at their reasons"

    def reasons(self, now_ms: int) -> list[str]:
        """Reasons for which this worker is not ready, as sentences; empty when it is."""
        peers = (self.sink.reason(now_ms), self.kafka.reason(now_ms), self.clock_problem)
        found = [reason for reason in peers if reason]
        found += [] if self.clock_problem else self.broker_clocks.sentences(now_ms)
        found += self.waiting.values()
        found += self._standing_still(now_ms, STANDING_SECONDS)
        found += self._topics(now_ms)
        if flood := self._flood(now_ms):
            found.append(flood)
        limit_ms = (self.lateness_seconds + STALE_SECONDS) * MS_PER_SECOND
        if not self.as_of_ms:
            found.append("nothing is aggregated yet: as_of is not set" + self._waiting())
        elif (age_ms := self.as_of_age_ms(now_ms)) > limit_ms:
            found.append(f"as_of is {age_ms // 1000} s old, more than {limit_ms / 1000:g} s" + self._waiting())
        if found and not self.sink.reason(now_ms) and (suspicion := self.sink.suspicion(now_ms)):
            found.append(suspicion)
        return found

    def _waiting(self) -> str:
        held = f"; held by partitions {_few(self.holding)}" if self.holding else ""
        return held + (f"; {self.lag} records behind" if self.lag else "")

    def stalled(self, now_ms: int, *, may_pause: bool) -> str | None:
        """The reason to end this worker, or None: a partition stands still, and no peer is to blame.

        ``may_pause`` says that reading pauses on purpose. To be asked every second or so: time in which somebody was
        to blame, or in which this process itself stood still, does not count.
        """
        slept = now_ms - self._asked_ms > FAILING_SECONDS * MS_PER_SECOND
        blamed = may_pause or self.sink.is_troubled(now_ms) or self.kafka.is_troubled(now_ms)
        self._asked_ms = now_ms
        if slept or blamed:
            self._excused_ms = now_ms
        return next(self._standing_still(now_ms, STALLED_SECONDS, self._excused_ms), None)


def _few(places: Sequence[Place]) -> str:
    """The names of some partitions, of which there may be thousands."""
    names, more = ", ".join(map(str, places[:NAMED])), len(places) - NAMED
    return f"{names} and {more} more" if more > 0 else names


def show_health(health: Health, clock_ms: Callable[[], int]) -> None:
    """Have the gauges that depend on the time evaluated at scrape time."""
    metrics.READY.set_function(lambda: not health.reasons(clock_ms()))
    metrics.AS_OF.set_function(lambda: health.as_of_ms / MS_PER_SECOND)
    metrics.AS_OF_AGE.set_function(
        lambda: health.as_of_age_ms(clock_ms()) / MS_PER_SECOND if health.as_of_ms else math.nan
    )


def broken(chunk: Chunk, result: Flushed) -> int:
    """The number of dead letters of a flush that tell of a broken producer: a tombstone does not."""
    return result.dead_letters - sum(letter.reason == DeadLetterReason.EMPTY for letter in chunk.letters)


def count_flush(chunk: Chunk, result: Flushed) -> None:
    """Count a flush that is durable."""
    metrics.EVENTS.inc(len(chunk.columns))
    metrics.ERASED.inc(result.erased)
    metrics.FLUSH_EVENTS.observe(chunk.records)
    metrics.FLUSH_BYTES.observe(chunk.size_bytes)
    metrics.LATE.inc(len(result.late))
    for reason, count in Counter(letter.reason for letter in chunk.letters).items():
        metrics.DEAD.labels(reason).inc(count)
    # What turned out to be too late only when it was written is in no chunk.
    metrics.DEAD.labels(DeadLetterReason.TOO_LATE).inc(max(0, result.dead_letters - len(chunk.letters)))
