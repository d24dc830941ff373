"""Who is at work in a simulated world, and who of them crashes."""

import inspect
import random
from collections.abc import Callable, Collection
from typing import Any, Generic, TypeVar

from pipeline.core.place import Place
from tests.sim.stage import Moves, Stage

Whose = TypeVar("Whose")


class Cast(Generic[Whose]):
    """The actors, each with whose it is and its number there. A crash takes along all of a partition's one owner.

    ``to_crash_at`` are names of effects: who is at one of them is rather chosen to crash. ``crashed_at`` are those at
    which somebody did.
    """

    def __init__(self, pick: random.Random, to_crash_at: Collection[str]) -> None:
        self.actors: list[tuple[Whose, int, Moves]] = []
        self.crashed_at: set[str] = set()
        self._pick, self._to_crash_at = pick, to_crash_at

    def add(self, whose: Whose, mine: int, *moves: Moves) -> None:
        """Actors come in."""
        self.actors += [(whose, mine, each) for each in moves]

    def keep(self, is_kept: Callable[[Whose, int], bool]) -> None:
        """All others go."""
        self.actors = [actor for actor in self.actors if is_kept(*actor[:2])]

    def choose(self) -> tuple[Whose, int, Moves]:
        """Who moves next."""
        return self._pick.choice(self.actors)

    def due(self) -> list[int]:
        """Indexes of those actors that are at one of the effects at which somebody should crash."""
        if not self._to_crash_at:
            return []
        return [n for n, (*_, moves) in enumerate(self.actors) if _effect_of(moves) in self._to_crash_at]

    def crash(self) -> tuple[Whose, int]:
        """Somebody is gone in the middle of whatever it did: anybody, but rather who is due to. Returns who it was."""
        whose, mine, moves = self.actors[self._pick.choice(self.due() or range(len(self.actors)))]
        gone = [a for a in self.actors if a[2] is moves or (isinstance(whose, Place) and a[:2] == (whose, mine))]
        self.crashed_at |= {effect for *_, its in gone if (effect := _effect_of(its))}
        self.actors = [a for a in self.actors if a not in gone]
        return whose, mine


def _effect_of(moves: Moves) -> str | None:
    """The name of the effect that an actor is about to do or in the middle of, looked up in its suspended frames."""
    inner: Any = moves
    while inner is not None and inspect.isgenerator(inner):
        if inner.gi_frame is not None and inner.gi_code is Stage.perform.__code__:
            effect = inner.gi_frame.f_locals.get("effect")
            return type(effect).__name__ if effect else None
        inner = inner.gi_yieldfrom
    return None
