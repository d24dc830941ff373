"""One reading for all who ask the same at once or again within a moment: the shell around ``reuse``."""

import asyncio
from collections.abc import Awaitable, Callable

from api import metrics
from api.answers import Answers, Asked, Ready


class Shared:
    """Answers questions from what is kept or under way, and by reading otherwise. Lives on one event loop.

    ``clock`` is monotonic seconds.
    """

    def __init__(self, answers: Answers, clock: Callable[[], float]) -> None:
        self._answers, self._clock = answers, clock
        self._under_way: dict[Asked, tuple[float, asyncio.Future[Ready]]] = {}

    async def get(self, asked: Asked, read: Callable[[], Awaitable[Ready]]) -> Ready:
        """The answer. Raises what ``read`` raises, to everybody who waits for it; a failure is not kept.

        A reading goes on when who asked first has gone, since others may wait for it.
        """
        now, kept = self._clock(), self.kept(asked)
        if kept is not None:
            return kept
        began, reading = self._under_way.get(asked, (now, None))
        if reading is not None and self._answers.is_fresh(began, now):
            metrics.ANSWERS_SHARED.inc()
            return await asyncio.shield(reading)
        metrics.ANSWERS_FROM_STORE.inc()
        task = asyncio.ensure_future(self._read(asked, read, now))
        self._under_way[asked] = (now, task)
        task.add_done_callback(lambda done: self._ended(asked, done))
        return await asyncio.shield(task)

    def kept(self, asked: Asked) -> Ready | None:
        """The answer where it is kept."""
        kept = self._answers.find(asked, self._clock())
        if kept is not None:
            metrics.ANSWERS_FROM_CACHE.inc()
        return kept

    async def _read(self, asked: Asked, read: Callable[[], Awaitable[Ready]], began: float) -> Ready:
        ready = await read()
        self._answers.keep(asked, ready, began, self._clock())
        return ready

    def _ended(self, asked: Asked, done: asyncio.Future[Ready]) -> None:
        if self._under_way.get(asked, (0.0, None))[1] is done:
            del self._under_way[asked]
        if not done.cancelled():
            done.exception()  # seen here, should everybody who asked have gone
