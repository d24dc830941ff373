"""A client's copy of the answer to one question, kept up to date as the clients' guide says."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

FIRST = "2000-01-01T00:00:00Z"

Ask = Callable[[Mapping[str, str]], Any]
"""Asks with some parameters, and returns the answer as parsed JSON."""


class KeptCopy:
    """``buckets`` are numbers, or lists of groups, by their start; ``listed`` counts those of all answers."""

    def __init__(self, **question: str) -> None:
        self._question, self._updated_since = question, FIRST
        self.buckets: dict[str, Any] = {}
        self.listed = 0

    def sync(self, ask: Ask) -> None:
        """Bring it up to date. Where ``ask`` raises, what was listed so far is kept, and the same is asked again."""
        for answer in _pages(ask, self._question | {"updated_since": self._updated_since}):
            for bucket in answer["data"]["buckets"]:
                self.buckets[bucket["bucket_start"]] = _number(bucket)
                self.listed += 1
        self._updated_since = answer["meta"]["next_updated_since"] or self._updated_since

    def problem(self, ask: Ask) -> str | None:
        """Where it is not what is answered to the plain question now; None where it is the same."""
        for answer in _pages(ask, self._question):
            for bucket in answer["data"]["buckets"]:
                start, number = bucket["bucket_start"], _number(bucket)
                if number is not None and self.buckets.get(start) != number:
                    return f"{self._question} {start}: the copy has {self.buckets.get(start)}, the answer {number}"
        return None


def _pages(ask: Ask, query: Mapping[str, str]) -> Iterator[Any]:
    while True:
        yield (answer := ask(query))
        if (cursor := answer["meta"]["next_cursor"]) is None:
            return
        query = {"cursor": cursor}


def _number(bucket: Mapping[str, Any]) -> Any:
    return bucket["groups"] if "groups" in bucket else bucket["value"]
