"""The hashes of all stored keys, kept so that a stranger's key costs no statement of its own.

A key whose hash is missing may have been made a moment ago. So a miss waits for a reading that begins after it::

    misses        x x  x      x  x
    readings   |newer|      |newer|        |whole|     one for all that wait, at most four a second, one at a time
                  └──┴──┴──► answered  └──► answered
"""

import asyncio
import math
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

HASH_BYTES = 32
READINGS_A_SECOND = 4
WHOLE_SECONDS = 60.0
"""So often all keys are read again; between that only those written since the last time."""
OVERLAP_MS = 60_000
"""A row is stamped when its insert begins, by one of the servers' clocks: so much earlier than it can be read."""


@dataclass(frozen=True, slots=True)
class KeyHashes:
    """Hashes of keys in ascending order, ``HASH_BYTES`` each, and when ClickHouse began to read them by its clock.

    A million keys take 32 MB, and for a moment twice that while they are read anew; as a set of Python's they would
    take 130. Looking for one costs 5 µs, and a key in use is looked for every few seconds only.
    """

    read_ms: int
    ascending: bytes

    def __contains__(self, digest: bytes) -> bool:
        at = bisect_left(range(len(self.ascending) // HASH_BYTES), digest, key=self._nth)
        return self._nth(at) == digest

    def _nth(self, number: int) -> bytes:
        return self.ascending[number * HASH_BYTES : (number + 1) * HASH_BYTES]


NONE = KeyHashes(0, b"")


class KnownKeys:
    """Tells whether a key is stored at all. Lives on one event loop; ``clock`` is monotonic seconds.

    ``read`` reads the hashes written since an instant in epoch milliseconds of ClickHouse's clock, 0 for all.
    """

    def __init__(self, read: Callable[[int], Awaitable[KeyHashes]], clock: Callable[[], float]) -> None:
        self._read, self._clock = read, clock
        self._whole: KeyHashes | None = None
        self._newer = NONE
        self._whole_due = self._began = -math.inf
        self._reading: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        """Those that waited for one reading go on one by one, in turn with all else that the loop has to do."""

    async def has(self, hashed: str) -> bool:
        """Tell whether a key with these hexadecimal digits is stored. Raises Unavailable where that cannot be told."""
        digest = bytes.fromhex(hashed)
        is_known = self._holds(digest)
        if not is_known or self._clock() >= self._whole_due:
            reading = self._next_reading()
            if not is_known:
                await asyncio.wait([reading])  # a client that goes away does not cancel what others wait for
                async with self._turn:
                    await asyncio.sleep(0)
                reading.result()
        return is_known or self._holds(digest)

    def _holds(self, digest: bytes) -> bool:
        return self._whole is not None and (digest in self._whole or digest in self._newer)

    def _next_reading(self) -> asyncio.Future[None]:
        """The reading that has not begun yet."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._read_in_turn())
            self._next.add_done_callback(self._done)
        return self._next

    async def _read_in_turn(self) -> None:
        if self._reading is not None:
            await asyncio.wait([self._reading])
        await asyncio.sleep(self._began + 1 / READINGS_A_SECOND - self._clock())
        self._reading, self._next = self._next, None  # whoever comes from here on waits for the one after
        self._began = self._clock()
        if self._whole is None or self._began >= self._whole_due:
            self._whole_due = self._began + WHOLE_SECONDS  # also after a failure: a miss needs the newer ones alone
            self._whole, self._newer = await self._read(0), NONE
        else:
            self._newer = await self._read(self._whole.read_ms - OVERLAP_MS)

    def _done(self, reading: asyncio.Future[None]) -> None:
        self._reading = None if self._reading is reading else self._reading
        self._next = None if self._next is reading else self._next
        if not reading.cancelled():
            reading.exception()  # retrieved here, as perhaps nobody waits; otherwise asyncio warns
