"""Keys of late recomputes, (minute, organization), in columns, since a backfill has millions of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Key = tuple[int, str]
"""(minute as a count since the epoch, organization)."""

_PLACE_BITS = 32
_PLACE = (1 << _PLACE_BITS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class LateKeys:
    """Distinct keys. A code is the minute and, in its lower 32 bits, the organization's place in ``orgs``.

    Codes are ascending. ``orgs`` may name organizations that no code refers to.
    """

    codes: Numbers
    orgs: tuple[str, ...]

    @classmethod
    def of(cls, minutes: Numbers, orgs: Sequence[str]) -> "LateKeys":
        """The distinct ones of parallel columns."""
        places: dict[str, int] = {}
        numbers = np.fromiter((places.setdefault(org, len(places)) for org in orgs), np.int64, len(orgs))
        return cls(np.unique(minutes << _PLACE_BITS | numbers), tuple(places))

    @classmethod
    def listed(cls, *keys: Key) -> "LateKeys":
        """The distinct ones of a list."""
        return cls.of(np.array([minute for minute, _ in keys], np.int64), [org for _, org in keys])

    def coded(self, places: dict[str, int]) -> Numbers:
        """The codes renumbered by ``places`` (organization to index), which is extended as needed; in no order."""
        moved = np.array([places.setdefault(org, len(places)) for org in self.orgs], np.int64)
        return self.codes & ~_PLACE | moved[self.codes & _PLACE] if len(self.codes) else NO_CODES

    def parts(self, most: int) -> Iterator["LateKeys"]:
        """The same keys, cut into parts of a bounded size."""
        for first in range(0, len(self), most):
            yield LateKeys(self.codes[first : first + most], self.orgs)

    @property
    def minutes(self) -> Numbers:
        return minutes_of(self.codes)

    @property
    def places(self) -> Numbers:
        return self.codes & _PLACE

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[Key]:
        return zip(self.minutes.tolist(), (self.orgs[place] for place in self.places.tolist()), strict=True)


def minutes_of(codes: Numbers) -> Numbers:
    """The minutes of codes, as counts since the epoch."""
    return codes >> _PLACE_BITS


def joined(several: Iterable[Numbers]) -> Numbers:
    """The codes of several that have none in common, ascending."""
    return np.sort(np.concatenate([NO_CODES, *several]), kind="stable")


def renumbered(several: Sequence[Numbers], places: Mapping[str, int]) -> tuple[list[Numbers], dict[str, int]]:
    """Codes, and the places of the organizations that they refer to, without all others. Their order is kept."""
    is_used = np.zeros(len(places), bool)
    for codes in several:
        is_used[codes & _PLACE] = True
    moved = np.cumsum(is_used) - 1
    kept = {org: int(moved[place]) for org, place in places.items() if is_used[place]}
    return [codes & ~_PLACE | moved[codes & _PLACE] for codes in several], kept


NO_CODES: Numbers = np.empty(0, np.int64)
NO_KEYS = LateKeys(NO_CODES, ())
