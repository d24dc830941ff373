"""A small world in which the real protocol runs: workers and their zombies, two rollers, a log with two partitions.

Every actor is a generator that stops between any two effects, and inside those that are not atomic. A seed decides who
moves next, who crashes, when a partition appears. ``Flaw`` takes one safeguard away; the world must notice.
"""

import json
import random
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pipeline.core.chunk import Batch, Chunk, Rules
from pipeline.core.effects import Progress, RaiseState, ReadState, State, Steps
from pipeline.core.late import PendingRecomputes
from pipeline.core.protocol import flush_steps, progress_steps, recompute_steps, roll_steps
from pipeline.core.start import Start, choose_start
from pipeline.core.watermark import partition_watermark
from schemas.grain import Grain
from tests.support.fake_store import Fact, FakeStore, rank_of

START = datetime(2026, 5, 5, 22, 30, tzinfo=UTC)  # events cross an hour and a day
STEP = timedelta(minutes=20)
STEPS = 9
RULES = Rules(lateness_ms=0, future_skew_ms=10**12)
Moves = Generator[None, None, Any]


class Flaw(StrEnum):
    """A safeguard that is missing."""

    NONE = "as designed"
    NO_CLOSING = "the roller does not announce closing"
    OLD_CLOSING = "late is decided by a closing from before the insert"
    NO_RECOMPUTE = "late events are not recomputed"
    COMMIT_EARLY = "the offset is committed while recomputes are pending"
    COMMIT_FIRST = "the offset is committed before the facts are in"
    AS_OF_FIRST = "as_of is written with closing"
    LAST_WINS = "the last writer of a row wins"


@dataclass(frozen=True)
class Record:
    """A Kafka record of the simulated log."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def milliseconds(instant: datetime) -> int:
    return int(instant.timestamp()) * 1000


@dataclass
class World:
    """Everything outside the workers, and the schedule."""

    seed: int
    flaw: Flaw = Flaw.NONE
    store: FakeStore = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.store = FakeStore(last_wins=self.flaw is Flaw.LAST_WINS)
        self.now_ms = milliseconds(START)
        self.log: list[list[Record]] = [[], []]
        self.visible = [0, 0]
        self.committed: list[int | None] = [None, None]
        self.owner = [0, 0]
        self.partitions = [0]
        self.truth: dict[tuple[str, str], Fact] = {}
        self.as_of_seen = 0
        self._write_log()
        self.actors: list[tuple[int, int, Moves]] = [(-1, 0, self.roller()), (-1, 0, self.roller())]
        self.hire(0)

    # -- the log ------------------------------------------------------------------------------------------------

    def _write_log(self) -> None:
        """A few events per partition; some twice, some twice with other content, some in both partitions."""
        pick = self.random
        for partition in (0, 1):
            for number in range(pick.randint(2, 4)):
                event = self._event(f"e{partition}{number}", pick.randrange(STEPS))
                self._append(partition, event)
                if pick.random() < 0.4:
                    other = event | {"cost_cents": str(pick.randrange(9))} if pick.random() < 0.5 else event
                    self._append(pick.randrange(2), other)

    def _event(self, event_id: str, step: int) -> dict[str, Any]:
        at = START + STEP * step + timedelta(seconds=self.random.randrange(60))
        kind = self.random.choice(["message.sent", "message.delivered"])
        org = self.random.choice("ab")
        return {"event_id": event_id, "org_id": org, "type": kind, "channel": "sms", "occurred_at": at.isoformat()}

    def _append(self, partition: int, event: dict[str, Any]) -> None:
        log, at = self.log[partition], datetime.fromisoformat(event["occurred_at"])
        log.append(Record(len(log), milliseconds(at), json.dumps(event).encode()))
        code = {"message.sent": 1, "message.delivered": 2}[event["type"]]
        cost = int(event.get("cost_cents", "0")) * 1_000_000
        fact = (event["org_id"], event["event_id"], code, "sms", "", cost, milliseconds(at))
        key = (event["org_id"], event["event_id"])
        self.truth[key] = max(self.truth.get(key, fact), fact, key=rank_of)

    # -- actors -------------------------------------------------------------------------------------------------

    def perform(self, steps: Steps[Any]) -> Moves:
        """Drive a protocol, stopping between and inside its effects; flaws bend what it reads and writes."""
        answer: Any = None
        early = self.store.state
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration as done:
                return done.value
            yield
            if isinstance(effect, RaiseState) and effect.state.closing_ms and self.flaw is Flaw.NO_CLOSING:
                continue
            if isinstance(effect, RaiseState) and effect.state.closing_ms and self.flaw is Flaw.AS_OF_FIRST:
                effect = RaiseState(State(closing_ms=effect.state.closing_ms, as_of_ms=effect.state.closing_ms))
            answer = yield from self.store.steps(effect)
            if isinstance(effect, ReadState) and self.flaw is Flaw.OLD_CLOSING:
                answer = early

    def worker(self, partition: int, mine: int) -> Moves:
        """The owner of a partition, or its zombie."""
        log_end = self.visible[partition]
        stored = self.store.read_stored().get(partition)
        start = choose_start(self.committed[partition], stored, 0, max(log_end, stored.next_offset if stored else 0))
        assert isinstance(start, Start)
        position, pending, flushes = start.offset, PendingRecomputes(), 0
        waiting: list[tuple[int, int]] = []
        clock = 0.0
        while True:
            now_ms = self.now_ms
            yield
            end = self.visible[partition]
            yield
            taken = self.log[partition][position : min(position + self.random.randint(0, 2), end)]
            if taken:
                following = taken[-1].offset + 1
                if self.flaw is Flaw.COMMIT_FIRST:
                    self.commit(partition, mine, following)
                    yield
                chunk = Chunk()
                batch = Batch(partition, 1, position, following, start.known_offset, taken, 0)
                chunk.add(batch, RULES, now_ms, 0, clock)
                flushed = yield from self.perform(flush_steps(chunk, 0))
                flushes += 1
                if self.flaw is not Flaw.NO_RECOMPUTE:
                    pending.add(flushed.late, flushes, clock)
                waiting.append((flushes, following))
                position = following
                yield
            if position >= end:
                mark = partition_watermark(now_ms, now_ms, RULES.lateness_ms)
                yield from self.perform(progress_steps([Progress(partition, position, mark)]))
            clock += 2.0
            if pending.due(clock, backlog=False) and self.random.random() < 0.5:
                keys = pending.take(clock)
                if keys:
                    yield from self.perform(recompute_steps("batch", keys))
                pending.done(clock, 0.0)
            settled = flushes if self.flaw is Flaw.COMMIT_EARLY else pending.settled_flush(flushes)
            while waiting and waiting[0][0] <= settled:
                self.commit(partition, mine, waiting.pop(0)[1])
            yield

    def commit(self, partition: int, mine: int, offset: int) -> None:
        """Kafka takes commits from the current owner only."""
        if self.owner[partition] == mine:
            self.committed[partition] = max(self.committed[partition] or 0, offset)

    def roller(self) -> Moves:
        while True:
            yield from self.perform(roll_steps(list(self.partitions), 0))
            yield

    def hire(self, partition: int) -> None:
        """A new owner; the old one goes on as a zombie."""
        self.owner[partition] += 1
        self.actors.append((partition, self.owner[partition], self.worker(partition, self.owner[partition])))

    # -- the schedule -------------------------------------------------------------------------------------------

    def move(self) -> None:
        """One random thing happens."""
        pick = self.random
        dice = pick.random()
        if dice < 0.05:
            self.now_ms = min(milliseconds(START + STEP * (STEPS + 1)), self.now_ms + milliseconds_of(STEP))
        elif dice < 0.12:
            self._publish(pick.randrange(2))
        elif dice < 0.13:
            self._add_partition()
        elif dice < 0.15:
            self.hire(pick.choice(self.partitions))
        elif dice < 0.18:
            self._crash(pick.randrange(len(self.actors)))
        else:
            next(pick.choice(self.actors)[2])
        assert self.store.state.as_of_ms >= self.as_of_seen, "as_of went back"
        self.as_of_seen = self.store.state.as_of_ms

    def _publish(self, partition: int) -> None:
        """A record appears in the log: at or after its time, rarely before it."""
        at = self.visible[partition]
        if at < len(self.log[partition]):
            due = self.log[partition][at].timestamp <= self.now_ms
            if due or self.random.random() < 0.1:
                self.visible[partition] += 1

    def _add_partition(self) -> None:
        if len(self.partitions) == 1:
            self.partitions.append(1)
            self.hire(1)

    def _crash(self, index: int) -> None:
        """An actor is gone in the middle of whatever it did; owners and rollers are replaced."""
        partition, mine, _ = self.actors.pop(index)
        if partition < 0:
            self.actors.append((-1, 0, self.roller()))
        elif mine == self.owner[partition]:
            self.hire(partition)

    def settle(self) -> None:
        """No more faults: everything is published, zombies end, and the rest comes to an end."""
        self._add_partition()
        self.visible = [len(log) for log in self.log]
        self.now_ms = milliseconds(START + timedelta(days=2))
        for _ in range(200):
            next(self.random.choice(self.actors)[2])
        self.actors = [a for a in self.actors if a[0] < 0 or a[1] == self.owner[a[0]]]
        for _ in range(6000):
            next(self.random.choice(self.actors)[2])
            if self._is_done():
                break
        for _ in range(300):  # what was under way comes to an end, and changes nothing
            next(self.random.choice(self.actors)[2])

    def _is_done(self) -> bool:
        done = [c == len(log) for c, log in zip(self.committed, self.log, strict=True)]
        return all(done) and self.store.state.as_of_ms >= self.now_ms

    def verdict(self) -> str | None:
        """What is wrong in the end, by a naive recount; None when all is exact."""
        if not self._is_done():
            return f"unfinished: {self.committed} committed, as_of {self.store.state.as_of_ms}"
        if set(self.store.facts.values()) != set(self.truth.values()):
            return "facts differ"
        for grain, pattern in {Grain.MINUTE: "%F %H:%M", Grain.HOUR: "%F %H", Grain.DAY: "%F"}.items():
            expected: dict[tuple[str, str], set[Fact]] = {}
            for fact in self.truth.values():
                name = datetime.fromtimestamp(fact[6] / 1000, UTC).strftime(pattern)
                expected.setdefault((fact[0], name), set()).add(fact)
            found = {
                (org, datetime.fromtimestamp(bucket, UTC).strftime(pattern)): set(row.facts)
                for (org, bucket), row in self.store.rollups[grain].items()
            }
            if found != expected:
                return f"{grain} rollups differ"
        return None


def milliseconds_of(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def run(seed: int, flaw: Flaw = Flaw.NONE) -> str | None:
    """Play one schedule and return its verdict."""
    world = World(seed, flaw)
    for _ in range(world.random.randint(80, 320)):
        world.move()
    world.settle()
    return world.verdict()
