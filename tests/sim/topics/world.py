"""A world of two topics: one that is always there, and one that is added with history, retired, deleted, made anew.

Each partition has a worker, and zombies of former ones. Rollers have different lists of topics, and each its own view
of the metadata, from which a topic, or a partition of one, may be missing at any step. The law that must hold at every
moment: `as_of` does not pass what nobody has read of a topic that holds.
"""

from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum

from pipeline.core.place import Place
from schemas.grain import Grain
from tests.sim.cast import Cast
from tests.sim.log import Record
from tests.sim.stage import Desk, Moves
from tests.sim.topics.actors import LISTS, Missing, Roller, TopicActors
from tests.sim.topics.kafka import ADDED, Topic, View
from tests.sim.verdict import verdict
from tests.support.places import TOPIC

MINUTE_MS = Grain.MINUTE.milliseconds
ROLLERS = 3
DAYS_LATER_MS = timedelta(days=2) // timedelta(milliseconds=1)
Whose = Place | Roller | None
"""Whose an actor is: a partition's, a roller, or (None) an operator."""


class Change(StrEnum):
    """A thing that was done to the added topic."""

    ADD = "its partitions get workers"
    DISMISS = "its workers are taken away"
    RETIRE = "it is retired"
    DELETE = "it is deleted"
    MAKE = "it is made anew"


class TopicWorld(TopicActors):
    """Everything outside the actors, the schedule, and the law."""

    def __init__(self, seed: int, missing: Missing = Missing.NOTHING, to_crash_at: Collection[str] = ()) -> None:
        super().__init__(seed, missing)
        self.changes: set[Change] = set()
        self.problem: str | None = None
        self.is_added = False
        self.cast: Cast[Whose] = Cast(self.random, to_crash_at)
        for topic in (TOPIC, ADDED):
            self.kafka.make(topic)
        for _ in range(ROLLERS):
            self._hire_roller()
        self._hire_for(TOPIC)

    # -- who comes, and goes ------------------------------------------------------------------------------------

    def _hire_roller(self) -> None:
        roller = Roller(self.random.choice(LISTS), View(self.kafka))
        self.cast.add(roller, 0, self.roller(roller))

    def _hire_for(self, name: str) -> None:
        for place in sorted(self.kafka.topics[name].places):
            self.owner.setdefault(place, 0)
            self.hire(place)

    def hire(self, place: Place) -> None:
        """A new owner, where the partition can be read; the old one goes on as a zombie."""
        topic = self.kafka.topics[place.topic]
        self.owner[place] += 1
        if place in topic.log.stuck:
            return
        mine, desk = self.owner[place], Desk()
        self.cast.add(place, mine, self.worker(place, mine, desk, topic), self.recomputer(desk))

    def owned(self) -> list[Place]:
        """The partitions that have, or should have, a worker."""
        names = [TOPIC, ADDED] if self.is_added else [TOPIC]
        return [place for name in names for place in sorted(self.kafka.topics[name].places)]

    def _dismiss(self) -> None:
        """The workers of the added topic are no longer its owners."""
        self.is_added = False
        for place in self.owner:
            self.owner[place] += place.topic == ADDED

    # -- the schedule -------------------------------------------------------------------------------------------

    def move(self) -> None:
        """One random thing happens."""
        pick, dice = self.random, self.random.random()
        if pick.random() < 0.02:
            pick.choice(self.servers).catch_up()
        if dice < 0.05:
            self.now_ms += pick.randint(1, 20 * MINUTE_MS)
        elif dice < 0.07:
            pick.choice(list(self.kafka.topics.values())).log.publish(self.now_ms)
        elif dice < 0.12:
            self._lose_or_regain()
        elif dice < 0.135:
            self.hire(pick.choice(self.owned()))
        elif dice < 0.14:
            self._free(pick.choice(list(self.kafka.topics.values())))
        elif dice < 0.17:
            self._change()
        elif dice < 0.19:
            self._crash()
        else:
            self._step(*self.cast.choose())

    def _step(self, whose: Whose, _: int, moves: Moves) -> None:
        """One step of an actor; now and then it runs ahead while all others stand still."""
        for _ in range(self.random.randint(5, 60) if self.random.random() < 0.1 else 1):
            before = self.store.state.as_of_ms
            next(moves)
            if self.store.state.as_of_ms != before:
                self._watch(whose, before)

    def _watch(self, whose: Whose, before: int) -> None:
        """`as_of` has moved. What it has passed of a topic that held when the roll began is stored, and of any that
        holds what was published since then."""
        as_of_ms, known = self.store.state.as_of_ms, whose.known if isinstance(whose, Roller) else {}
        if as_of_ms < before:
            self.problem = "as_of went back"
        for name, holding in self.held.items():
            was_known = known.get(name) == holding
            for place, record in self._published(holding.topic):
                is_passed = record.timestamp < as_of_ms and (was_known or record.timestamp >= holding.since_ms)
                if is_passed and not self._is_stored(holding.topic, place, record):
                    self.problem = self.problem or f"as_of has passed offset {record.offset} of {place}"

    def _published(self, topic: Topic) -> list[tuple[Place, Record]]:
        logs = topic.log.partitions.items()
        return [(place, record) for place, log in logs for record in log if record is not None]

    def _is_stored(self, topic: Topic, place: Place, record: Record) -> bool:
        if record.identity is not None:
            return record.identity in self.store.facts
        lives = self.lives.get((place, topic), set())
        return any((place, life.incarnation, record.offset) in self.store.letters for life in lives)

    def _is_read(self, topic: Topic) -> bool:
        """Whether everything of a topic is committed: what is only stored may still have to be recomputed."""
        return all((self.committed.get(place) or 0) >= len(log) for place, log in topic.log.partitions.items())

    def _lose_or_regain(self) -> None:
        """Metadata change; where topics have no ids nobody could tell what was lost."""
        if self.kafka.gives_ids:
            self.random.choice([whose for whose, *_ in self.cast.actors if isinstance(whose, Roller)]).view.change()

    def _free(self, topic: Topic) -> None:
        """What could not be read can be."""
        for place in sorted(topic.log.stuck):
            topic.log.stuck.discard(place)
            if place in self.owned():
                self.hire(place)

    def _change(self) -> None:
        """One of the things that can be done to the added topic now."""
        there = self.kafka.topics.get(ADDED)
        is_read = there is None or self._is_read(there)
        is_retiring = any(whose is None for whose, *_ in self.cast.actors)
        can = {
            Change.ADD: there is not None and not self.is_added and not is_retiring,
            Change.DISMISS: self.is_added and (is_read or self.random.random() < 0.05),
            Change.RETIRE: not self.is_added and not is_retiring and is_read and ADDED in self.held,
            Change.DELETE: there is not None and is_read and ADDED in self.held and self.kafka.gives_ids,
            Change.MAKE: there is None,
        }
        change = self.random.choice([change for change, may_be in can.items() if may_be] or [None])
        if change is None:
            return
        self.changes.add(change)
        if change in (Change.DISMISS, Change.DELETE):
            self._dismiss()
        if change is Change.ADD:
            self.is_added = True
            self._hire_for(ADDED)
        elif change is Change.RETIRE:
            self._order_retirement()
        elif change is Change.DELETE:
            del self.kafka.topics[ADDED]
            self.committed = {place: offset for place, offset in self.committed.items() if place.topic != ADDED}
        elif change is Change.MAKE:
            self.kafka.make(ADDED)
            self.held.pop(ADDED, None)

    def _order_retirement(self) -> None:
        self.held.pop(ADDED, None)
        self.cast.add(None, 0, self._until_done(self.retire()))

    def _until_done(self, work: Moves) -> Moves:
        yield from work
        self.cast.keep(lambda whose, _: whose is not None)
        while True:
            yield

    def _crash(self) -> None:
        """An actor crashes, and the other half of its process; both are replaced."""
        whose, mine = self.cast.crash()
        if isinstance(whose, Roller):
            self._hire_roller()
        elif isinstance(whose, Place) and mine == self.owner[whose] and whose in self.owned():
            self.hire(whose)

    # -- the end ------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """No more faults: all is there and is read, zombies end; a topic that is deleted is retired."""
        for topic in self.kafka.topics.values():
            self._free(topic)
        self.cast.keep(lambda whose, _: whose is not None)
        for whose, *_ in self.cast.actors:
            if isinstance(whose, Roller):
                whose.view.catch_up()
                whose.listed = self.random.choice(LISTS[: len(self.kafka.topics)])
        if ADDED in self.kafka.topics and not self.is_added:
            self.is_added = True
            self._hire_for(ADDED)
        self.now_ms += DAYS_LATER_MS
        for _ in range(200):
            self._step(*self.cast.choose())
        self.cast.keep(lambda whose, mine: not isinstance(whose, Place) or mine == self.owner[whose])
        if ADDED not in self.kafka.topics:
            self._order_retirement()
        quiet = 0
        for _ in range(60_000):
            self._step(*self.cast.choose())
            quiet = quiet + 1 if self.is_done() else 0
            if quiet > 300 or self.problem:
                break

    def is_done(self) -> bool:
        """Whether everything is committed and closed."""
        return all(map(self._is_read, self.kafka.topics.values())) and self.store.state.as_of_ms >= self.now_ms

    def verdict(self) -> str | None:
        """What is wrong in the end, or was at any moment; None when all is exact."""
        if self.problem:
            return self.problem
        if not self.is_done():
            return f"unfinished: {self.committed} committed, as_of {self.store.state.as_of_ms} of {self.now_ms}"
        broken: set[tuple[Place, int, int]] = set()
        for topic in self.kafka.all:
            for place, _, offset in topic.log.broken:
                broken |= {(place, life.incarnation, offset) for life in self.lives.get((place, topic), ())}
        return verdict(self.kafka.truth(), broken, self.store)


def play(seed: int, missing: Missing = Missing.NOTHING, to_crash_at: Collection[str] = ()) -> TopicWorld:
    """Play one schedule to its end."""
    world = TopicWorld(seed, missing, to_crash_at)
    for _ in range(world.random.randint(200, 2000)):
        world.move()
        if world.problem:
            return world
    world.settle()
    return world


def run(seed: int, missing: Missing = Missing.NOTHING) -> str | None:
    """Play one schedule and return what is wrong; None when all is exact."""
    return play(seed, missing).verdict()
