"""A small world in which the real protocol runs: workers and their zombies, two rollers, a log with two partitions,
replays, rows that go bad and the rebuild that mends them, and an organization that is erased.

A seed decides who moves next, who crashes, when a partition appears. With one safeguard taken away (``Flaw``) the world
must notice.
"""

from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum

from pipeline.core.commits import Commits
from pipeline.core.effects import FindErased
from pipeline.core.generation import stamp
from pipeline.core.pending import PendingRecomputes
from pipeline.core.place import Place
from schemas.grain import Grain
from tests.sim.actors import Actors
from tests.sim.cast import Cast
from tests.sim.log import START, STEP, STEPS, Record, milliseconds
from tests.sim.stage import Desk, EarlyCommits, Flaw, Moves, RunningSkipped
from tests.sim.verdict import verdict
from tests.support.fake_rows import Row
from tests.support.fake_store import to_the_end
from tests.support.places import P0, P1

MOVE_MS, FALL_MS = 1000, 2 * STEP // timedelta(milliseconds=1)
"""Each move takes a second; rarely ClickHouse's clock falls by so much."""
BRISK_STEPS, BEHIND_MS, ASKING = 8, 120_000, 0.05
"""In a brisk world actors take so many steps with a move, time goes by quickly only while `as_of` is less behind, and a
client asks so often."""


class Role(StrEnum):
    """An actor that has no partition."""

    ROLLER = "roller"
    READER = "reader"
    OPERATOR = "operator"
    CLERK = "clerk"
    FINANCE = "finance"
    KEEPER = "keeper"


class Order(StrEnum):
    """What an operator starts beside the live workers."""

    REPLAY = "replay"
    REBUILD = "rebuild"
    ERASE = "erase"


class World(Actors):
    """Everything outside the actors, and the schedule."""

    def __init__(self, seed: int, flaw: Flaw = Flaw.NONE, to_crash_at: Collection[str] = ()) -> None:
        super().__init__(seed, flaw)
        self.problem: str | None = None
        self.as_of_seen = 0
        self.ordered: dict[int, Order] = {}
        self.orders = 0
        self.is_corrupt = False
        self.has_operators = seed % 2 == 1  # in every other world, since what they do mends what others break
        self.cast: Cast[Place | Role] = Cast(self.random, to_crash_at)
        self.cast.add(Role.ROLLER, 0, self.roller(), self.roller())
        self.cast.add(Role.READER, 0, self.reader())
        self.hire(P0)

    # -- who comes ----------------------------------------------------------------------------------------------

    def _until_done(self, number: int, work: Moves) -> Moves:
        yield from work
        del self.ordered[number]
        while True:
            yield

    def order(self, order: Order) -> None:
        """An operator starts something."""
        work = {Order.REPLAY: self.replay, Order.REBUILD: self.rebuild, Order.ERASE: self.erase}[order]
        self.orders += 1
        self.ordered[self.orders] = order
        self.cast.add(Role.OPERATOR, self.orders, self._until_done(self.orders, work()))

    def corrupt(self) -> None:
        """Closed rows go bad behind the system's back, with counts that outrank what is right; then a rebuild."""
        state, self.is_corrupt = self.store.state, True
        for grain in Grain:
            at = milliseconds(START + STEP * self.random.randrange(STEPS))
            key = ("b", grain.floor_ms(at))
            if grain.is_closed(key[1], state.closing_ms):
                wrong = frozenset(("b", f"bad{n}", 1, "sms", "", 0, at) for n in range(50))
                self.store.rollups[grain][key] = Row((stamp(state.generation, 60), 50, 99), wrong)
        self.order(Order.REBUILD)

    def hire(self, place: Place) -> None:
        """A new owner; the old one goes on as a zombie."""
        self.owner[place] += 1
        mine = self.owner[place]
        pending = RunningSkipped() if self.flaw is Flaw.RUNNING_SKIPPED else PendingRecomputes()
        desk = Desk((EarlyCommits if self.flaw is Flaw.COMMIT_EARLY else Commits)(pending))
        self.cast.add(place, mine, self.worker(place, mine, desk), self.recomputer(desk))

    # -- the schedule -------------------------------------------------------------------------------------------

    def move(self) -> None:
        """One random thing happens."""
        pick = self.random
        dice = pick.random()
        self._pass(MOVE_MS)
        if pick.random() < 0.002:
            self._fall()
        if pick.random() < 0.02:
            pick.choice(self.servers).catch_up()
        if self.is_brisk and self.whims.random() < ASKING:
            to_the_end(self.whims.choice(self.copies).ask(self.store))
        if dice < 0.05:
            if not self.is_brisk or self.now_ms - self.store.state.as_of_ms < BEHIND_MS:
                self._pass(STEP // timedelta(milliseconds=1))
        elif dice < 0.12:
            self._publish(pick.choice(list(self.log.partitions)))
        elif dice < 0.13:
            self._add_partition()
        elif dice < 0.15:
            self.hire(pick.choice(self.partitions))
        elif dice < 0.18:
            self._crash()
        elif dice < 0.22 and self.has_operators:
            self._operate(dice)
        elif dice > 0.7 and self.cast.due():
            self._crash()
        elif dice > 0.9 and self.store.staged:
            self.store.staged.clear()  # ClickHouse forgets what was staged, however long that took
        else:
            for _ in range(BRISK_STEPS if self.is_brisk else 1):
                self._step(self.cast.choose()[2])
        self._watch()

    def _pass(self, ms: int) -> None:
        """Time passes."""
        self.now_ms = min(milliseconds(START + STEP * (STEPS + 1)), self.now_ms + ms)

    def _fall(self) -> None:
        """ClickHouse's clock is set back."""
        self.now_ms -= FALL_MS

    def _step(self, moves: Moves) -> None:
        """One step of an actor; now and then it runs ahead while all others stand still."""
        for _ in range(self.random.randint(5, 30) if self.random.random() < 0.05 else 1):
            next(moves)

    def _watch(self) -> None:
        """What must hold at every moment, not only in the end."""
        if self.store.state.as_of_ms < self.as_of_seen:
            self.problem = "as_of went back"
        self.as_of_seen = self.store.state.as_of_ms
        for (place, _), progress in self.store.progress.items():
            spoken_for = self.log.partitions[place][: progress.next_offset]
            if not all(self._is_stored(place, record) for record in spoken_for):
                self.problem = f"progress of {place} speaks for records that are not stored"

    def _is_stored(self, place: Place, record: Record) -> bool:
        if record.identity is None:
            return (place, 0, record.offset) in self.store.letters
        is_erased = record.timestamp <= self.store.erasures.get(record.identity[1], -1)
        return is_erased or record.identity in self.store.facts

    def _operate(self, dice: float) -> None:
        """An operator orders something, or has a reason to."""
        if dice < 0.19:
            self.order(Order.REPLAY)
        elif dice < 0.215 and Order.ERASE not in self.ordered.values():
            self.order(Order.ERASE)
        elif not self.is_corrupt:
            self.corrupt()

    def _publish(self, place: Place) -> None:
        """A record appears in the log: at or after its time, rarely before it."""
        at = self.visible[place]
        if at < len(self.log.partitions[place]):
            due = self.log.partitions[place][at].timestamp <= self.now_ms
            if due or self.random.random() < 0.1:
                self.visible[place] += 1

    def _add_partition(self) -> None:
        if len(self.partitions) == 1:
            self.partitions.append(P1)
            self.hire(P1)

    def _crash(self) -> None:
        """An actor crashes, and the other half of its process; both are replaced."""
        whose, mine = self.cast.crash()
        if whose is Role.OPERATOR:
            self._interrupted(mine)
        elif isinstance(whose, Role):
            self.cast.add(whose, mine, self._again(whose, mine))
        elif mine == self.owner[whose]:
            self.hire(whose)

    def _again(self, role: Role, mine: int) -> Moves:
        """The one who takes the place of somebody that crashed."""
        return self.reader() if role is Role.READER else self.roller()

    def _interrupted(self, number: int) -> None:
        """A rebuild is ordered again; an erasure is finished by the workers, and nobody misses a replay."""
        if self.ordered.pop(number, None) is Order.REBUILD:
            self.order(Order.REBUILD)

    def settle(self) -> None:
        """No more faults: everything is published, zombies end, and the rest comes to an end."""
        self._add_partition()
        self.visible = {place: len(log) for place, log in self.log.partitions.items()}
        self.now_ms = milliseconds(START + timedelta(days=2))
        for _ in range(200):
            next(self.cast.choose()[2])
        self.cast.keep(lambda whose, mine: isinstance(whose, Role) or mine == self.owner[whose])
        quiet = 0
        for _ in range(60_000):
            next(self.cast.choose()[2])
            quiet = quiet + 1 if self.is_done() else 0
            if quiet > 300:  # what was under way has come to an end, and changed nothing
                break
        while self.strays:
            self.stray()
        for copy in self.copies:
            to_the_end(copy.ask(self.store))

    def is_done(self) -> bool:
        """Whether everything is committed and closed, and nothing was left in the middle."""
        done = [self.committed[place] == len(log) for place, log in self.log.partitions.items()]
        is_quiet = not self.ordered and (self.flaw is Flaw.ERASE_UNSEEN or not self.store.perform(FindErased()))
        return all(done) and is_quiet and self.store.state.as_of_ms >= self.now_ms


def play(seed: int, flaw: Flaw = Flaw.NONE, to_crash_at: Collection[str] = ()) -> World:
    """Play one schedule to its end."""
    world = World(seed, flaw, to_crash_at)
    for _ in range(world.random.randint(80, 640)):
        world.move()
    world.settle()
    return world


def run(seed: int, flaw: Flaw = Flaw.NONE) -> str | None:
    """Play one schedule and return what is wrong in the end; None when all is exact."""
    return verdict_of(play(seed, flaw))


def verdict_of(world: World) -> str | None:
    """What is wrong in the end."""
    if world.problem:
        return world.problem
    if not world.is_done():
        return f"unfinished: {world.committed} committed, as_of {world.store.state.as_of_ms}"
    erasures = world.store.erasures
    truth = [fact for fact in world.log.truth.values() if fact[6] > erasures.get(fact[0], 0)]
    wrong = [problem for copy in world.copies if (problem := copy.problem(world.store))]
    return verdict(truth, world.log.broken, world.store) or next(iter(wrong), None)
