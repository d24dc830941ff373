"""Bounds on what is under way at once: whoever does not fit is told to come back, and nobody waits."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api import metrics
from api.errors import RateLimited


class Slots:
    """So many under each name, of one process. Safe for threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, name: str, count: int = 1) -> Iterator[None]:
        """Hold ``count`` slots of the name. Raises RateLimited when fewer are free."""
        with self._lock:
            if self._taken[name] + count > self._most:
                metrics.RATE_LIMITED.inc()
                raise RateLimited
            self._taken[name] += count
        try:
            yield
        finally:
            with self._lock:
                self._taken[name] -= count
                if not self._taken[name]:
                    del self._taken[name]
