"""ClickHouse's state as one worker has seen it: how far aggregation is, where facts begin, and what time it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline import metrics
from pipeline.core.clocks import NOT_READ, ClockReading, Clocks, Moment
from pipeline.core.effects import State, Steps
from pipeline.worker.health import Health
from schemas.grain import MS_PER_SECOND

T = TypeVar("T")


@dataclass(slots=True)
class Seen:
    """Everything that a reading of the state tells beside what it was read for. For any thread."""

    health: Health
    clock: Callable[[], Moment]
    clocks: Clocks = field(default_factory=Clocks)
    facts_floor_ms: int = 0
    """By the newest reading whose clock agreed with this machine's."""
    _newest: ClockReading = NOT_READ

    def noting(self, steps: Steps[T]) -> Steps[T]:
        """The same steps; every state that they read is noted before they see it."""
        answer: Any = None
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            answer = yield effect
            if isinstance(answer, State):
                self.note(answer)

    def note(self, state: State) -> None:
        """The state was read."""
        self.clocks.note(state.clock)
        self.health.saw(state)
        if state.clock.agrees():
            self.facts_floor_ms, self._newest = state.facts_floor_ms, state.clock
        if (skew_ms := self.clocks.skew_ms(self.clock())) is not None:
            metrics.CLOCK_SKEW.set(skew_ms / MS_PER_SECOND)

    def earliest_ms(self, now: Moment, boot_ms: int) -> int:
        """A moment in epoch milliseconds, by this machine's clock or by ClickHouse's: the earlier of the two.

        ClickHouse's is that of the newest reading, which may be long ago: ours may have been set since.
        """
        return min(now.at(boot_ms).wall_ms, self._newest.as_theirs(now.at(boot_ms)).wall_ms)

    def now(self) -> Moment | None:
        """Now, or None while this machine's clock may not be believed; health is told why."""
        now = self.clock()
        self.health.clock_problem = self.clocks.problem(now)
        return now if self.health.clock_problem is None else None

    @property
    def is_clock_in_doubt(self) -> bool:
        return self.now() is None
