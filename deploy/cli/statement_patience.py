"""Waiting for revisions that may be replaced yet: on a cluster that takes minutes, and it is said."""

from typing import TypeVar

from deploy.cli.context import warn
from pipeline.clickhouse.store import Store
from pipeline.core.effects import AwaitInserts, Effect, Steps
from pipeline.runner import drive
from schemas.limits import SURELY_SEEN_SECONDS

T = TypeVar("T")
QUIET_LOOKS = 20
"""Looks that take about a second."""


class Patience:
    """Is told of each effect, and says once why a command waits."""

    def __init__(self) -> None:
        self._looks = 0

    def __call__(self, effect: Effect) -> None:
        self._looks += isinstance(effect, AwaitInserts)
        if self._looks == QUIET_LOOKS:
            self._looks += 1
            warn(
                "a statement that began earlier may be under way; on a cluster a revision is firm "
                f"{SURELY_SEEN_SECONDS // 60} minutes after it was stated"
            )


def patiently(store: Store, steps: Steps[T]) -> T:
    """Run a protocol that only reads, and say why it waits."""
    patience = Patience()

    def perform(effect: Effect) -> object:
        answer = store.perform(effect)
        patience(effect)
        return answer

    return drive(steps, perform)
