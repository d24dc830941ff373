"""Schemas by their keys as one worker knows them, and which is to be asked for next. Pure: time is an argument.

A schema that the registry does not have yet is asked for again, since registries lag behind their own topic, and is
unknown once that went on for 10 s:

    404 ─ 1 s ─ 404 ─ 1 s ─ … ─ 404 at 10 s: unknown, for 60 s; then it is asked for anew
    404 ───────────── 10 s ──── 404          the same for what is beyond 20 schemas
    404 ─ 1 s ─ 404                          the same while 20 others are unknown already

The last question must have been *asked* so long after the first answer: a process may stand still in between, and then
reads an answer that is as old as the first one.

So unknown schemas wait side by side, and N of them take 10 s and 2 N requests (with 9 more for each of 20) if they come
at once; if they keep coming, the first 20 take 10 s, and every later one two requests and a second.
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pipeline.core.envelope.frames import SchemaKey
from pipeline.core.waiting import Cause
from pipeline.registry.errors import NotThere, RegistryError, Unusable

R = TypeVar("R")

LAG_SECONDS: Final = 10.0
"""A registry may not have a schema for so long although a record names it."""
AGAIN_SECONDS: Final = 1.0
MOST_WATCHED: Final = 20
"""Schemas that are not there which are asked for every second, and unknown ones after which less is waited."""
VERDICT_SECONDS: Final = 60.0
FORGET_SECONDS: Final = 60.0
"""Nobody waits any more for what was not looked up for so long."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0
OUTAGE_FAILURES: Final = 3
"""A registry that comes back after so many failures in a row may lag: absences are counted anew."""
MOST_READERS: Final = 1_000
MOST_CHARACTERS: Final = 8 << 20
"""Of the schemas of all readers together."""
MOST_VERDICTS: Final = 10_000
MOST_QUEUED: Final = 1_000
_MAX_DOUBLINGS: Final = 8


@dataclass(frozen=True, slots=True)
class Looked(Generic[R]):
    """The keys that were looked up, each in one of three states. A verdict is NotThere or Unusable."""

    readers: Mapping[SchemaKey, R]
    verdicts: Mapping[SchemaKey, RegistryError]
    missing: Mapping[SchemaKey, Cause]


@dataclass(slots=True)
class _Wanted:
    """A schema that is asked for. ``absent_since`` is the first 404 without another kind of answer after it."""

    looked_at: float
    due_at: float
    failures: int = 0
    absent_since: float | None = None
    absences: int = 0
    is_watched: bool = False
    error: RegistryError | None = None


class Cache(Generic[R]):
    """Readers and verdicts, and the queue of what is asked for, in which each key is once. Times are monotonic seconds.

    At most 1,000 readers are kept and as many keys queued; a reader that was looked up goes last. So records that are
    before the first missing key should not wait for those behind it.
    """

    def __init__(self) -> None:
        self._readers: OrderedDict[SchemaKey, tuple[R, int]] = OrderedDict()
        self._characters = 0
        self._verdicts: OrderedDict[SchemaKey, tuple[float, RegistryError]] = OrderedDict()
        self._wanted: dict[SchemaKey, _Wanted] = {}
        self._unknown_at: deque[float] = deque()
        self._problem: RegistryError | None = None
        self._failures, self._quiet_until = 0, float("-inf")

    @property
    def problem(self) -> RegistryError | None:
        """The registry's own trouble, while schemas are waited for because of it."""
        return self._problem if self._wanted else None

    def look(self, keys: Collection[SchemaKey], now: float) -> Looked[R]:
        """The states of these keys. Those that are missing are queued."""
        self._forget_verdicts(now)
        readers: dict[SchemaKey, R] = {}
        verdicts: dict[SchemaKey, RegistryError] = {}
        missing: dict[SchemaKey, Cause] = {}
        for key in keys:
            if key in self._readers:
                self._readers.move_to_end(key)
                readers[key] = self._readers[key][0]
            elif key in self._verdicts:
                verdicts[key] = self._verdicts[key][1]
            else:
                missing[key] = self._queue(key, now)
        return Looked(readers, verdicts, missing)

    def next(self, now: float) -> SchemaKey | None:
        """The key to ask for now; the one that is due for longest."""
        self._forget_wanted(now)
        if not self._wanted:
            self._answered()  # or not: its trouble is nobody's any more
            return None
        if now < self._quiet_until:
            return None
        is_crowded = self._is_crowded(now)
        key = min(self._wanted, key=lambda key: _due_at(self._wanted[key], is_crowded))
        return key if _due_at(self._wanted[key], is_crowded) <= now else None

    def pause(self, now: float) -> float | None:
        """Seconds until `next` may have a key; None as long as no key is queued."""
        is_crowded = self._is_crowded(now)
        due_at = min((_due_at(wanted, is_crowded) for wanted in self._wanted.values()), default=None)
        return None if due_at is None else max(0.0, due_at - now, self._quiet_until - now)

    def put(self, key: SchemaKey, reader: R, characters: int = 0) -> None:
        """The registry has it. ``characters`` are those of the schema: a reader may take many times as many bytes."""
        self._answered()
        self._wanted.pop(key, None)
        self._characters += characters - self._readers.pop(key, (None, 0))[1]
        self._readers[key] = reader, characters
        while len(self._readers) > MOST_READERS or (self._characters > MOST_CHARACTERS and len(self._readers) > 1):
            self._characters -= self._readers.popitem(last=False)[1][1]

    def note(self, key: SchemaKey, error: RegistryError, asked_at: float, now: float) -> bool:
        """An attempt failed that began at ``asked_at``. Returns whether that decides about the key."""
        match error:
            case Unusable():
                self._answered()
                self._decide(key, error, now)
                return True
            case NotThere():
                self._answered()
                return self._absent(key, error, asked_at, now)
        self._problem = error
        self._failures += 1
        self._quiet_until = now + _pause(self._failures)
        if wanted := self._wanted.get(key):
            wanted.failures, wanted.error = wanted.failures + 1, error
            if wanted.failures >= OUTAGE_FAILURES:
                wanted.absent_since, wanted.absences, wanted.is_watched = None, 0, False
            wanted.due_at = now + _pause(wanted.failures)
        return False

    def _absent(self, key: SchemaKey, error: NotThere, asked_at: float, now: float) -> bool:
        wanted = self._wanted.get(key)
        if wanted is None:
            return False
        if wanted.absent_since is None:
            wanted.absent_since = now
            wanted.is_watched = sum(other.is_watched for other in self._wanted.values()) < MOST_WATCHED
        wanted.absences, wanted.failures, wanted.error = wanted.absences + 1, 0, error
        unknown_at = wanted.absent_since + LAG_SECONDS
        if asked_at >= unknown_at or (wanted.absences > 1 and self._is_crowded(now)):
            self._unknown_at.append(now)
            self._decide(key, error, now)
            return True
        wanted.due_at = min(now + AGAIN_SECONDS, max(now, unknown_at)) if wanted.is_watched else max(now, unknown_at)
        return False

    def _answered(self) -> None:
        self._problem, self._failures, self._quiet_until = None, 0, float("-inf")

    def _decide(self, key: SchemaKey, verdict: RegistryError, now: float) -> None:
        self._wanted.pop(key, None)
        self._verdicts[key] = now + VERDICT_SECONDS, verdict
        self._verdicts.move_to_end(key)
        while len(self._verdicts) > MOST_VERDICTS:
            self._verdicts.popitem(last=False)

    def _queue(self, key: SchemaKey, now: float) -> Cause:
        wanted = self._wanted.get(key)
        if wanted is None:
            if len(self._wanted) >= MOST_QUEUED:
                return Cause(
                    f"schema {key} is not asked for yet: {MOST_QUEUED} others are", "its turn comes", True, True
                )
            wanted = self._wanted[key] = _Wanted(now, now)
        wanted.looked_at = now
        if error := wanted.error or self._problem:
            return error.cause
        return Cause(f"schema {key} is not here yet", "the schema registry is asked for it", True, True)

    def _forget_wanted(self, now: float) -> None:
        for key in [key for key, wanted in self._wanted.items() if now - wanted.looked_at >= FORGET_SECONDS]:
            del self._wanted[key]

    def _forget_verdicts(self, now: float) -> None:
        while self._verdicts and next(iter(self._verdicts.values()))[0] <= now:
            self._verdicts.popitem(last=False)

    def _is_crowded(self, now: float) -> bool:
        """Whether so many are unknown that this is no lag."""
        while self._unknown_at and self._unknown_at[0] <= now - VERDICT_SECONDS:
            self._unknown_at.popleft()
        return len(self._unknown_at) >= MOST_WATCHED


def _due_at(wanted: _Wanted, is_crowded: bool) -> float:
    if is_crowded and wanted.absent_since is not None:
        return min(wanted.due_at, wanted.absent_since + AGAIN_SECONDS)
    return wanted.due_at


def _pause(failures: int) -> float:
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
