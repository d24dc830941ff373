"""Who acts in the simulated world: workers and their zombies, rollers, replays, a rebuild, an erasure."""

from pipeline.core.clocks import Moment
from pipeline.core.commits import Commits
from pipeline.core.erasure import order_erasure_steps, sweep_steps
from pipeline.core.flush import Batch, Chunk
from pipeline.core.late_keys import NO_KEYS
from pipeline.core.place import Place
from pipeline.core.progress import Progress, Started
from pipeline.core.protocol import flush_steps, progress_steps, rebuild_steps, recompute_steps, roll_steps, start_steps
from pipeline.core.start import Offsets, Start, choose_start
from pipeline.core.watermark import partition_watermark
from schemas.grain import Grain
from tests.sim.copies import Copy
from tests.sim.log import START, STEP, STEPS, Log, milliseconds
from tests.sim.stage import CLOCK_SECONDS, EPOCH, RULES, Desk, Flaw, Moves, Stage, read_erasures
from tests.support.places import P0, TOPIC


class Actors(Stage):
    """What actors are made of, and the log that they read."""

    def __init__(self, seed: int, flaw: Flaw) -> None:
        super().__init__(seed, flaw)
        self.log = Log(self.random)
        self.log.write()
        self.visible = dict.fromkeys(self.log.partitions, 0)
        self.committed = dict.fromkeys(self.log.partitions)
        self.owner = dict.fromkeys(self.log.partitions, 0)
        self.partitions = [P0]
        any_page = flaw is Flaw.PAGES_SHRINK
        self.copies = [Copy(org, grain, takes_any_page=any_page) for org in "ab" for grain in Grain]

    def worker(self, place: Place, mine: int, desk: Desk) -> Moves:
        """The owner of a partition, or its zombie: what flushes and commits."""
        log_end = self.visible[place]
        stored = self.store.read_stored().get(place)
        start = choose_start(
            Offsets(self.committed[place], 0, max(log_end, stored.next_offset if stored else 0)), stored
        )
        assert isinstance(start, Start)
        position = start.offset
        begun = Started(place, 0 if stored else position, len(self.partitions))
        yield from self.perform(start_steps([begun]))
        erasures = yield from self.perform(read_erasures())
        while True:
            now_ms = self.now_ms
            yield
            end = self.visible[place]
            yield
            taken = self.log.partitions[place][position : min(position + self.random.randint(0, 2), end)]
            if taken:
                following = taken[-1].offset + 1
                if self.flaw is Flaw.COMMIT_FIRST:
                    self.commit(place, mine, following)
                    yield
                chunk = Chunk()
                batch = Batch(place, EPOCH, position, following, taken, 0)
                chunk.add(batch, RULES, Moment(now_ms, now_ms), 0, desk.clock)
                if self.flaw is Flaw.WATERMARK_FIRST:
                    yield from self.perform(progress_steps(chunk.progress(), RULES.lateness_ms))
                flushed = yield from self.perform(flush_steps(chunk, chunk.progress(), RULES.lateness_ms, erasures))
                erasures = flushed.erasures
                if flushed.sweep and self.flaw is not Flaw.ERASE_UNSEEN:
                    yield from self.perform(sweep_steps())
                late = NO_KEYS if self.flaw is Flaw.NO_RECOMPUTE else flushed.late
                desk.commits.flushed(late, chunk.reached(), desk.clock)
                position = following
                yield
            if position >= end:
                mark = partition_watermark(now_ms, now_ms, RULES.lateness_ms)
                yield from self.perform(progress_steps([Progress(place, position, mark)], RULES.lateness_ms))
            desk.clock += CLOCK_SECONDS
            if may_be := desk.commits.take({place: EPOCH}):
                self.commit(place, mine, may_be[place].next_offset)
            yield

    def roller(self) -> Moves:
        """Rolls, and now and then goes on with erasures."""
        while True:
            yield from self.perform(roll_steps({TOPIC}, {TOPIC: set(self.partitions)}))
            yield
            if self.random.random() < 0.01 and self.flaw is not Flaw.ERASE_UNSEEN:
                yield from self.perform(sweep_steps())

    def reader(self) -> Moves:
        """A client that keeps copies of everything."""
        while True:
            yield from self.random.choice(self.copies).ask(self.store)
            yield

    def replay(self) -> Moves:
        """Everything that is visible of a partition, flushed once more without a claim."""
        place = self.random.choice(self.partitions)
        taken = self.log.partitions[place][: self.visible[place]]
        chunk, commits = Chunk(is_second_reading=True), Commits()
        if taken:
            chunk.add(Batch(place, 0, 0, len(taken), taken, 0), RULES, Moment(self.now_ms, self.now_ms), 0, 0.0)
            erasures = yield from self.perform(read_erasures())
            flushed = yield from self.perform(flush_steps(chunk, (), 0, erasures))
            if flushed.sweep and self.flaw is not Flaw.ERASE_UNSEEN:
                yield from self.perform(sweep_steps())
            commits.flushed(flushed.late, chunk.reached(), 0.0)
            if len(keys := commits.pending.take(0.0)):
                yield from self.perform(recompute_steps(self.new_id(), keys))

    def rebuild(self) -> Moves:
        """Mends what `corrupt` broke."""
        first, last = milliseconds(START) // 1000, milliseconds(START + STEP * STEPS) // 1000
        yield from self.perform(rebuild_steps(first, last))

    def erase(self) -> Moves:
        """Erases one organization up to now."""
        yield from self.perform(order_erasure_steps("a", self.now_ms))
