"""A cluster of which servers lag behind: a read may be answered from what was there a while ago."""

from collections.abc import Generator
from copy import copy
from typing import Any

from pipeline.core.effects import (
    CloseBuckets,
    CountStaged,
    Effect,
    FindErased,
    ReadEarliestFact,
    ReadErasures,
    ReadHighestGeneration,
    ReadState,
    RebuildBuckets,
    RecomputeLate,
)
from pipeline.core.progress import ReadMarks
from pipeline.core.statements.history import ReadDocuments, ReadLines, ReadStatable, ReadStatements
from tests.support.fake_progress import ONE_LIFE, Lives
from tests.support.fake_store import FakeStore, to_the_end

LAGGING = (
    ReadState,
    ReadMarks,
    ReadEarliestFact,
    ReadHighestGeneration,
    ReadErasures,
    CloseBuckets,
    RecomputeLate,
    RebuildBuckets,
    FindErased,
    CountStaged,
    ReadStatable,
    ReadLines,
    ReadStatements,
    ReadDocuments,
)
"""Effects that read what others write, in their first step."""
LAG = 0.5
"""How often a server is asked that lags."""
TABLES = (
    *("facts", "record_times", "rollups", "staged", "state", "progress", "retired"),
    *("erasures", "announced", "finished", "ordered_at", "resyncs", "statements"),
)


class Server:
    """One that lags: it knows what was there when it last caught up."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self.catch_up()

    def catch_up(self) -> None:
        self._known = {name: copy(getattr(self._store, name)) for name in TABLES}
        self._known["rollups"] = {grain: copy(rows) for grain, rows in self._store.rollups.items()}

    def perform(self, effect: Effect) -> Any:
        """Do an effect at once."""
        return to_the_end(self.steps(effect))

    def steps(self, effect: Effect, lives: Lives = ONE_LIFE) -> Generator[None, None, Any]:
        """Do an effect in steps, of which the first one reads what this server knows."""
        steps, now = self._store.steps(effect, lives), {name: getattr(self._store, name) for name in TABLES}
        self._show(self._known)
        try:
            next(steps)
        except StopIteration as done:
            return done.value
        finally:
            self._show(now)
        yield
        return (yield from steps)

    def _show(self, tables: dict[str, Any]) -> None:
        for name, rows in tables.items():
            setattr(self._store, name, rows)
