"""Messages of a made-up organization, and what a page must show of them: plain Python over a list of events."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

WIDTHS = {"minute": 60, "hour": 3600, "day": 86_400}
METRICS = ("sent", "delivered", "failed", "cost_cents")
CHARGED = "charged"
"""An event that counts in no count: money that comes later, or, below zero, a credit."""
COSTS = ("0.75", "0.02", "0.5", "2.25", "0.000001", "0.1")
CHARGES = ("4.5", "2.25", "0.000001", "-0.000001", "-3.75", "-12.5")
CHANNELS = ("sms", "email", "whatsapp", "mms")
ERRORS = ("carrier_rejected", "invalid_number", "mailbox_full", "")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``at`` in epoch seconds."""

    at: int
    metric: str
    channel: str
    error_code: str
    cost: Decimal


def traffic(seed: int, start: int, end: int, count: int) -> list[Event]:
    """Random events in [start, end), more of them towards its end."""
    pick = random.Random(seed)
    events = []
    for _ in range(count):
        metric = pick.choices(METRICS[:3], (50, 43, 7))[0]
        events.append(
            Event(
                at=int(pick.triangular(start, end, end)),
                metric=metric,
                channel=pick.choices(CHANNELS, (6, 3, 2, 1))[0],
                error_code=pick.choices(ERRORS, (9, 6, 3, 2))[0] if metric == "failed" else "",
                cost=Decimal(pick.choice(COSTS)) if metric == "sent" else Decimal(0),
            )
        )
    return events


def charges(seed: int, start: int, end: int, count: int, amounts: Sequence[str] = CHARGES) -> list[Event]:
    """Random charges and credits in [start, end)."""
    pick = random.Random(seed)
    return [
        Event(pick.randrange(start, end), CHARGED, pick.choice(CHANNELS), "", Decimal(pick.choice(amounts)))
        for _ in range(count)
    ]


@dataclass(frozen=True, slots=True)
class Oracle:
    """What is true of an organization's events in the buckets that are complete at ``as_of`` (epoch seconds)."""

    events: Sequence[Event]
    as_of: int

    def bucket_starts(self, granularity: str, start: int, end: int) -> Sequence[int]:
        return range(start, end, WIDTHS[granularity])

    def is_complete(self, granularity: str, start: int) -> bool:
        return start + WIDTHS[granularity] <= self.as_of

    def values(self, metric: str, granularity: str, start: int, end: int, channel: str = "") -> list[Decimal | None]:
        """Per bucket a number, or None where it is pending; with a channel, of this channel alone."""
        width, found = WIDTHS[granularity], defaultdict[int, Decimal](Decimal)
        for event in self._matching(start, end, channel):
            found[event.at - event.at % width] += _amount(event, metric)
        return [
            found[bucket] if self.is_complete(granularity, bucket) else None
            for bucket in self.bucket_starts(granularity, start, end)
        ]

    def total(self, metric: str, granularity: str, start: int, end: int) -> Decimal:
        return sum((value for value in self.values(metric, granularity, start, end) if value is not None), Decimal(0))

    def prior_total(self, metric: str, granularity: str, start: int, end: int) -> Decimal:
        """Of the equally long window before, only the buckets whose counterparts are complete."""
        length = end - start
        now = self.values(metric, granularity, start, end)
        before = self.values(metric, granularity, start - length, start)
        pairs = zip(now, before, strict=True)
        return sum((b for n, b in pairs if n is not None and b is not None), Decimal(0))

    def keys(self, field: str, metric: str, granularity: str, start: int, end: int) -> dict[str, Decimal]:
        """Totals over the complete buckets by channel or error code, '' being none."""
        found: dict[str, Decimal] = defaultdict(Decimal)
        width = WIDTHS[granularity]
        for event in self._matching(start, end):
            if self.is_complete(granularity, event.at - event.at % width):
                found[getattr(event, field)] += _amount(event, metric)
        return {key: value for key, value in found.items() if value}

    def _matching(self, start: int, end: int, channel: str = "") -> Iterator[Event]:
        for event in self.events:
            if start <= event.at < end and channel in ("", event.channel):
                yield event


def _amount(event: Event, metric: str) -> Decimal:
    return event.cost if metric == "cost_cents" else Decimal(event.metric == metric)


def store_rollups(client: Client, org: str, events: Sequence[Event]) -> None:
    """Put the events into the rollups, every grain from the events themselves."""
    names = ["org_id", "bucket", *METRICS, "facts", "rank_sum", "generation"]
    nested = ["channel", "error_code", *METRICS]
    for grain, width in WIDTHS.items():
        buckets: dict[int, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        facts = Counter(event.at - event.at % width for event in events)
        for event in events:
            groups = buckets[event.at - event.at % width]
            group = groups.setdefault((event.channel, event.error_code), dict.fromkeys(METRICS, Decimal(0)))
            for metric in METRICS:
                group[metric] += _amount(event, metric)
        rows = []
        for bucket, groups in buckets.items():
            sums = {metric: sum(group[metric] for group in groups.values()) for metric in METRICS}
            counts = [int(sums[metric]) for metric in METRICS[:3]]
            arrays: list[list[Any]] = [[key[0] for key in groups], [key[1] for key in groups]]
            arrays += [[int(group[metric]) for group in groups.values()] for metric in METRICS[:3]]
            arrays += [[group["cost_cents"] for group in groups.values()]]
            rows.append([org, bucket, *counts, sums["cost_cents"], facts[bucket], 1, 0, *arrays])
        columns = names + [f"groups.{name}" for name in nested]
        if rows:
            client.insert(f"rollup_{grain}", rows, column_names=columns)
