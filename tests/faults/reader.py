"""A client that polls the endpoint while everything breaks, and notes what must never happen.

::

    as_of      never goes back, and never gets ahead of the time less the lateness
    a bucket   null … null 3 3 5 5     a number never becomes null again, and a count never falls
    the end    no count was ever above the recount; once nothing is late any more, numbers stand still
    copies     kept by asking what has changed, of totals and of groups: in the end they are the whole answer. Within
               their margin, which lasts longer than most chaos, every row written is listed again and again;
               `tests/contract/test_copies.py` does without it
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from typing import Any

import httpx2

from tests.faults.rig import LATENESS_SECONDS
from tests.support.background import Background
from tests.support.copying import KeptCopy
from tests.support.ledger import Ledger
from tests.support.recount import FORMAT, exact_json

POLL_SECONDS = 0.2
LATENESS = timedelta(seconds=LATENESS_SECONDS)
SPANS = {
    "minute": (timedelta(hours=4), timedelta(hours=2)),
    "hour": (timedelta(hours=30), timedelta(hours=3)),
    "day": (timedelta(days=3), timedelta(days=1)),
}
COST = "cost_cents"
METRICS = ("sent", COST)
UNAVAILABLE = 503

Bucket = tuple[str, str, str, str]
"""(organization, grain, metric, bucket start)"""


class _Unanswered(Exception):
    """There is no answer, or none with numbers."""


class Reader(Background):
    """Polls one query after the other for as long as the ``with`` block lasts. ``problems`` are sentences."""

    def __init__(self, url: str, keys: dict[str, str]) -> None:
        super().__init__()
        self._url, self._keys = f"{url}/v1/metrics/messages", keys
        self._began, self._client = datetime.now(UTC), httpx2.Client(timeout=30)
        self._seen: dict[Bucket, Any] = {}
        self._as_of = ""
        self._settled = False
        self._read_settled: set[Bucket] = set()
        self._copies = [
            (org, KeptCopy(metric=COST, granularity=grain, **groups, **self._span(grain)))
            for org in keys
            for grain in SPANS
            for groups in ({}, {"group_by": "channel"})
        ]
        self.answers = 0
        self.problems: list[str] = []

    @property
    def buckets_with_numbers(self) -> int:
        return len(self._seen)

    def nothing_is_late_any_more(self) -> None:
        """From here on no number may change."""
        self._settled = True

    def _run(self) -> None:
        queries = [(org, grain, metric) for org in self._keys for grain in SPANS for metric in METRICS]
        turns = zip(cycle(queries), cycle(self._copies), strict=False)
        with self._client:
            while not self._stop.wait(POLL_SECONDS):
                query, (org, copy) = next(turns)
                self._poll(*query)
                with suppress(_Unanswered):
                    copy.sync(partial(self._ask, org))
            if self._settled:
                self.problems += filter(None, [self._compare_whole(org, copy) for org, copy in self._copies])

    def _span(self, grain: str) -> dict[str, str]:
        before, after = SPANS[grain]
        return {"from": (self._began - before).strftime(FORMAT), "to": (self._began + after).strftime(FORMAT)}

    def _ask(self, org: str, query: Mapping[str, str]) -> Any:
        """Ask as an organization. Raises _Unanswered; what is wrong about that is noted."""
        try:
            response = self._client.get(
                self._url,
                params={"limit": "5000", **query},
                headers={"Authorization": f"Bearer {self._keys[org]}"},
            )
        except httpx2.TransportError as error:
            self.problems.append(f"the API did not answer: {error!r}")
            raise _Unanswered from error
        if response.status_code not in (200, UNAVAILABLE):  # ClickHouse is away; saying so is right
            self.problems.append(f"{response.status_code}: {response.text}")
        if response.status_code != 200:
            raise _Unanswered
        return exact_json(response.text)

    def _poll(self, org: str, grain: str, metric: str) -> None:
        settled = self._settled
        with suppress(_Unanswered):
            answer = self._ask(org, {"metric": metric, "granularity": grain, **self._span(grain)})
            self._note(answer, org, grain, metric, settled)

    def _note(self, answer: Any, org: str, grain: str, metric: str, settled: bool) -> None:
        self.answers += 1
        as_of = answer["meta"]["as_of"] or ""
        if as_of < self._as_of:
            self.problems.append(f"as_of went back from {self._as_of} to {as_of}")
        now = datetime.now(UTC)
        if as_of and datetime.fromisoformat(as_of) > now - LATENESS:
            self.problems.append(f"as_of was {as_of} at {now}")
        self._as_of = as_of
        for bucket in answer["data"]["buckets"]:
            key, value = (org, grain, metric, bucket["bucket_start"]), bucket["value"]
            self._compare(key, self._seen.get(key), value)
            if value is not None:
                self._seen[key] = value
            if settled:
                self._read_settled.add(key)

    def _compare(self, key: Bucket, before: Any, value: Any) -> None:
        if before is None:
            return
        if value is None:
            self.problems.append(f"{key} had {before} and became null")
        elif value < before and key[2] != COST:  # credits are negative
            self.problems.append(f"{key} fell from {before} to {value}")
        elif key in self._read_settled and value != before:
            self.problems.append(f"{key} changed from {before} to {value} when nothing was late any more")

    def _compare_whole(self, org: str, copy: KeptCopy) -> str | None:
        """Where a copy, brought up to date a last time, is not the whole answer."""
        try:
            copy.sync(partial(self._ask, org))
            return copy.problem(partial(self._ask, org))
        except _Unanswered:
            return f"{org}'s copy could not be brought up to date"

    def check(self, ledger: Ledger) -> None:
        """Nothing wrong was seen. Counts never fell, so the last one bounds all; each must be the recount's."""
        wrong = []
        for (org, grain, metric, start), value in self._seen.items():
            expected = ledger.expected(grain).get((org, start), {}).get(metric, 0)
            if value != expected:
                wrong.append(f"{org} {grain} {metric} {start}: {value}, not {expected}")
        assert not self.problems, self.problems[:5]
        assert not wrong, wrong[:5]
        assert self.buckets_with_numbers, "no number was ever seen"
