"""Threads for what blocks, so that the event loop does not."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

THREADS = 16


class Threads:
    """Runs calls in threads, at most ``THREADS`` at once; the others wait. Lives on one event loop."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """The call's answer, or what it raises."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(call, *args, limiter=self._limiter)
