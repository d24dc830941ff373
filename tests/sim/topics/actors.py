"""Who reads several topics, who rolls over them, and who retires one. ``Missing`` takes a safeguard away."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from pipeline.core.clocks import Moment
from pipeline.core.effects import Steps
from pipeline.core.flush import Batch, Chunk
from pipeline.core.holding import Marks
from pipeline.core.place import Place
from pipeline.core.progress import Progress, Started
from pipeline.core.protocol import flush_steps, marks_steps, progress_steps, retire_steps, roll_steps, start_steps
from pipeline.core.start import Offsets, Start, choose_start, incarnation_of
from pipeline.core.watermark import partition_watermark
from tests.sim.stage import CLOCK_SECONDS, EPOCH, RULES, Desk, Flaw, Moves, Stage, read_erasures
from tests.sim.topics.kafka import ADDED, Kafka, Topic, View
from tests.support.fake_progress import Life
from tests.support.places import TOPIC

LISTS = (frozenset({TOPIC}), frozenset({TOPIC, ADDED}), frozenset({ADDED}))


class Missing(StrEnum):
    """A safeguard of several topics that is missing."""

    NOTHING = "as designed"
    STORED_HOLDS = "what holds is the list of who rolls"
    MISSING_HOLDS = "a topic that is missing from the metadata holds nothing"
    START_STORED = "a start is not stored before reading"
    UNBEGUN_HOLDS = "of a topic that is missing only those partitions hold that were begun"
    UNNAMED_HOLDS = "partitions that a lagging broker does not name hold nothing"
    START_TAKES_BACK = "a topic stays retired when somebody begins to read it"
    LIVES_APART = "partitions of a topic made anew inherit what was read of the old one"
    ASKED_FIRST = "a roll goes on over topics that it has not asked for"


@dataclass(frozen=True)
class Holding:
    """That a topic holds, since an owner of one of its partitions began to read it."""

    topic: Topic
    since_ms: int
    number: int


@dataclass(eq=False)
class Roller:
    """One that rolls: its list, its view of the metadata, and what it has learned; what held when its roll began."""

    listed: Set[str]
    view: View
    learned: Set[str] = frozenset()
    known: Mapping[str, Holding] = field(default_factory=dict)


class TopicActors(Stage):
    """What actors are made of, and what they share."""

    def __init__(self, seed: int, missing: Missing) -> None:
        super().__init__(seed, Flaw.NONE)
        self.missing = missing
        self.store.starts_unmoved = missing is Missing.START_TAKES_BACK
        self.store.lives_mixed = missing is Missing.LIVES_APART
        self.kafka = Kafka(self.random, gives_ids=self.random.random() < 0.8)
        self.held: dict[str, Holding] = {}
        self.lives: dict[tuple[Place, Topic], set[Life]] = {}
        self._holdings = 0

    # -- a worker -----------------------------------------------------------------------------------------------

    def worker(self, place: Place, mine: int, desk: Desk, topic: Topic) -> Moves:
        """The owner of a partition of a topic in one life of that, or its zombie."""
        all_stored = self.store.read_stored()
        stored = all_stored.get(place)
        yield
        log = topic.log.partitions[place]
        end = max(len(log), stored.next_offset if stored and stored.topic_id == topic.topic_id else 0)
        offsets = Offsets(self.committed.get(place), 0, end, topic.topic_id, len(topic.places))
        start = choose_start(offsets, stored)
        assert isinstance(start, Start)
        life = Life(incarnation_of(place, topic.topic_id, start, all_stored), topic.topic_id)
        self.lives.setdefault((place, topic), set()).add(life)
        lives = {place: life}
        first = start.offset if start.recreated or stored is None else 0
        if self.missing is not Missing.START_STORED:
            yield from self.perform(start_steps([Started(place, first, offsets.partitions)]), lives)
        self.begun(place, mine, topic)
        erasures = yield from self.perform(read_erasures())
        position = start.offset
        while True:
            now_ms = self.now_ms
            yield
            end = self._end(topic, place)
            yield
            upto = min(position + self.random.randint(0, 2), end) if self.kafka.is_current(topic) else position
            if taken := log[position:upto]:
                chunk, records = Chunk(), [record for record in taken if record is not None]
                chunk.add(Batch(place, EPOCH, position, upto, records, 0), RULES, Moment(now_ms, now_ms), 0, desk.clock)
                flushing = flush_steps(chunk, chunk.progress(), RULES.lateness_ms, erasures)
                flushed = yield from self.perform(flushing, lives)
                erasures = flushed.erasures
                desk.commits.flushed(flushed.late, chunk.reached(), desk.clock)
                position = upto
                yield
            if position >= end >= 0:
                mark = partition_watermark(now_ms, now_ms, RULES.lateness_ms)
                idle = progress_steps([Progress(place, position, mark)], RULES.lateness_ms)
                yield from self.perform(idle, lives)
            desk.clock += CLOCK_SECONDS
            if may_be := desk.commits.take({place: EPOCH}):
                self.commit(place, mine, may_be[place].next_offset)
            yield

    def _end(self, topic: Topic, place: Place) -> int:
        """Where the log ends, as who reads one life of a topic sees it: also that of another life; -1 if none is there.

        No client asks for the topic by its id.
        """
        there = self.kafka.topics.get(topic.name)
        return len(there.log.partitions[place]) if there and place in there.places else -1

    def begun(self, place: Place, mine: int, topic: Topic) -> None:
        """From now on a topic holds, if it is not only a zombie that reads it."""
        is_known = topic.name in self.held and self.held[topic.name].topic is topic
        if self.owner[place] == mine and self.kafka.is_current(topic) and not is_known:
            self._holdings += 1
            self.held[topic.name] = Holding(topic, self.now_ms, self._holdings)

    # -- who rolls ----------------------------------------------------------------------------------------------

    def roller(self, roller: Roller) -> Moves:
        """Rolls over what is on its list and what it has learned of, as pipeline/worker/rolling.py does."""
        while True:
            roller.known = dict(self.held)
            existing = roller.view.existing(roller.listed | roller.learned)
            yield
            if self.missing is Missing.ASKED_FIRST:
                existing = dict.fromkeys((TOPIC, ADDED), frozenset[Place]()) | existing
            rolling = roll_steps(roller.listed, existing)
            rolled = yield from self.perform(bent(rolling, self._bend(roller.listed, existing)))
            roller.learned = rolled.topics
            yield

    def _bend(self, listed: Set[str], existing: Mapping[str, Set[Place]]) -> Callable[[Marks], Marks]:
        """What a roller without the safeguard makes of what it reads."""
        gone = {topic for topic, places in existing.items() if not places}

        def without(topics: Set[str]) -> Callable[[Marks], Marks]:
            return lambda marks: replace(
                marks,
                watermarks={p: mark for p, mark in marks.watermarks.items() if p.topic not in topics},
                partitions={t: number for t, number in marks.partitions.items() if t not in topics},
            )

        def uncounted(topics: Set[str]) -> Callable[[Marks], Marks]:
            return lambda marks: replace(
                marks, partitions={t: number for t, number in marks.partitions.items() if t not in topics}
            )

        return {
            Missing.STORED_HOLDS: without({TOPIC, ADDED} - listed),
            Missing.MISSING_HOLDS: without(gone),
            Missing.UNBEGUN_HOLDS: uncounted(gone),
            Missing.UNNAMED_HOLDS: uncounted({TOPIC, ADDED} - gone),
        }.get(self.missing, lambda marks: marks)

    # -- an operator --------------------------------------------------------------------------------------------

    def retire(self) -> Moves:
        """Looks whether anybody reads the topic that was added, and retires it."""
        marks: Marks = yield from self.perform(marks_steps())
        yield
        yield from self.perform(retire_steps(ADDED, marks.moved.get(ADDED, 0)))


def bent(steps: Steps[Any], bend: Callable[[Marks], Marks]) -> Steps[Any]:
    """A protocol that reads other marks than there are."""
    answer: Any = None
    while True:
        try:
            effect = steps.send(answer)
        except StopIteration as done:
            return done.value
        answer = yield effect
        if isinstance(answer, Marks):
            answer = bend(answer)
