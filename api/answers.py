"""A cache of answers with single-flight, so that a repeated question is read once a second at most.

    reading begins        the same question again            and again
    |─────────────────────────|──────────────── REUSE_SECONDS ──|──────►
    0                      from the cache                    read anew

An answer's age is counted from before it was read, so that a correction shows after REUSE_SECONDS at the latest,
however long the reading took. Key, scope and tier are checked for every request, before this.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cachetools import TLRUCache

from api import metrics
from api.cache_key import CacheKey

REUSE_SECONDS = 1.0
MAX_CACHED_BYTES = 32 * 1024 * 1024
ENTRY_BYTES = 3 * 1024
"""The most that an entry costs in memory beside its body."""

RawHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer as it is sent: body, and the headers that depend on nothing but the question and the data.

    ``content_headers`` are those that describe the body, and go only with it. ``as_of`` is epoch seconds.
    """

    body: bytes
    headers: RawHeaders
    content_headers: RawHeaders
    etag: str
    buckets: int
    as_of: int | None

    @property
    def size_bytes(self) -> int:
        """The memory that it takes in the cache."""
        return len(self.body) + ENTRY_BYTES


class AnswerCache:
    """Answers by key, none older than ``max_age_seconds``, together never more than ``max_bytes``.

    ``clock`` is monotonic seconds. The least recently used go first.
    """

    def __init__(
        self, clock: Callable[[], float], max_age_seconds: float = REUSE_SECONDS, max_bytes: int = MAX_CACHED_BYTES
    ) -> None:
        self._max_age_seconds = max_age_seconds
        self._entries: TLRUCache[CacheKey, tuple[float, CachedAnswer]] = TLRUCache(
            max_bytes,
            ttu=lambda _, entry, __: entry[0] + max_age_seconds,
            timer=clock,
            getsizeof=lambda entry: entry[1].size_bytes,
        )
        self.clock = clock

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        return int(self._entries.currsize)

    def is_fresh(self, read_at: float) -> bool:
        """Whether an answer whose reading began at ``read_at`` may still be served."""
        return self.clock() < read_at + self._max_age_seconds

    def find(self, key: CacheKey) -> CachedAnswer | None:
        """The cached answer, if it is fresh."""
        try:
            return self._entries[key][1]  # ``get`` would look the key up twice
        except KeyError:
            return None

    def keep(self, key: CacheKey, answer: CachedAnswer, read_at: float) -> None:
        """Cache an answer whose reading began at ``read_at``.

        An answer that is old already is not kept, since it would replace a newer one; nor is one larger than the cache.
        """
        if self.is_fresh(read_at) and answer.size_bytes <= self._entries.maxsize:
            self._entries[key] = (read_at, answer)


class SingleFlight:
    """Single-flight in front of the cache: serve a cached answer, join an identical query in flight, or start one.

    Lives on one event loop.
    """

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache
        self._flights: dict[CacheKey, tuple[float, asyncio.Future[CachedAnswer]]] = {}

    async def get(self, key: CacheKey, read: Callable[[], Awaitable[CachedAnswer]]) -> CachedAnswer:
        """The answer. Raises what ``read`` raises, to all who joined; a failure is not cached."""
        cached = self._cache.find(key)
        if cached is not None:
            metrics.ANSWERS_FROM_CACHE.inc()
            return cached
        began, flight = self._flights.get(key, (0.0, None))
        if flight is not None and self._cache.is_fresh(began):
            metrics.ANSWERS_SHARED.inc()
        else:
            metrics.ANSWERS_FROM_STORE.inc()
            flight = self._start(key, read)
        # A client that goes away must not cancel what others wait for.
        return await asyncio.shield(flight)

    def _start(self, key: CacheKey, read: Callable[[], Awaitable[CachedAnswer]]) -> asyncio.Future[CachedAnswer]:
        began = self._cache.clock()
        flight = asyncio.ensure_future(self._read(key, read, began))
        self._flights[key] = (began, flight)
        flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    async def _read(self, key: CacheKey, read: Callable[[], Awaitable[CachedAnswer]], began: float) -> CachedAnswer:
        answer = await read()
        self._cache.keep(key, answer, began)
        return answer

    def _landed(self, key: CacheKey, done: asyncio.Future[CachedAnswer]) -> None:
        if self._flights.get(key, (0.0, None))[1] is done:
            del self._flights[key]
        if not done.cancelled():
            done.exception()  # retrieved here in case all clients have gone; otherwise asyncio warns
