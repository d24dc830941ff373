"""Demo traffic: a history of two days, then an event a second without end, some of them late, doubled or broken.

History and live traffic have about the same rate, so that charts over both make sense.
"""

import math
import random
import threading
from collections.abc import Callable, Sequence

import msgspec
from confluent_kafka import Producer

from schemas.grain import Grain
from schemas.instant import rfc3339

HISTORY_HOURS = 48
HISTORY_EVENTS = 60_000  # about 12 MB: the embedded broker keeps 20
EVENTS_A_SECOND = 1
TICK_SECONDS = 0.25
LATE_SHARE, DOUBLE_SHARE, BROKEN_SHARE = 0.02, 0.02, 0.005
BUSIEST_HOUR = 14
CHANNELS = {"sms": 6, "email": 3, "whatsapp": 2, "mms": 1}
ERRORS = ("carrier_rejected", "invalid_number", "mailbox_full", "spam_filter")
OUTCOMES = {"message.sent": 50, "message.delivered": 44, "message.failed": 6, "message.charged": 4}
CENTS = {"sms": "0.75", "email": "0.02", "whatsapp": "0.5", "mms": "2.25"}
CORRECTIONS = ("0.25", "0.1", "-0.05", "-0.75")
"""Differences of final prices, which are known later."""


class Traffic:
    """A generator of events. The same ``seed`` makes the same events at the same instants."""

    def __init__(self, orgs: Sequence[str], seed: int) -> None:
        self._orgs, self._random, self._number, self._seed = orgs, random.Random(seed), 0, seed

    def event(self, occurred_ms: int) -> bytes:
        """One event at an instant (epoch milliseconds)."""
        pick, self._number = self._random, self._number + 1
        channel = pick.choices(list(CHANNELS), list(CHANNELS.values()))[0]
        kind = pick.choices(list(OUTCOMES), list(OUTCOMES.values()))[0]
        event = {
            "event_id": f"demo-{self._seed}-{self._number}",
            "type": kind,
            "org_id": pick.choice(self._orgs),
            "channel": channel,
            "occurred_at": rfc3339(occurred_ms),
        }
        if kind == "message.failed":
            event["error_code"] = pick.choice(ERRORS)
        if kind == "message.sent":
            event["cost_cents"] = CENTS[channel]
        if kind == "message.charged":
            event["cost_cents"] = pick.choice(CORRECTIONS)
        return msgspec.json.encode(event)

    def history(self, now_ms: int) -> Sequence[tuple[int, bytes]]:
        """Two days of events that end now, with their times and in their order, busier by day than by night."""
        width = Grain.HOUR.milliseconds
        hours = range(now_ms - HISTORY_HOURS * width, now_ms, width)
        chosen = self._random.choices(hours, [_busyness(hour) for hour in hours], k=HISTORY_EVENTS)
        instants = sorted(hour + self._random.randrange(width) for hour in chosen)
        return [(instant, self.event(instant)) for instant in instants]

    def live(self, now_ms: int, count: int) -> Sequence[bytes]:
        """Events of this moment; some are late by minutes to hours, some come twice, a few are broken."""
        records = []
        for _ in range(count):
            late = self._random.random() < LATE_SHARE
            record = self.event(now_ms - (self._random.randrange(60_000, 7_200_000) if late else 0))
            records += [record] * (2 if self._random.random() < DOUBLE_SHARE else 1)
            if self._random.random() < BROKEN_SHARE:
                records.append(record.replace(b'"channel":"', b'"channel":"NOT A CHANNEL '))
        return records


def topic_of(record: bytes, topics: Sequence[str]) -> str:
    """The topic that an event goes to: with one topic to a type each has its own, with fewer some share one."""
    kind = msgspec.json.decode(record)["type"]
    return topics[list(OUTCOMES).index(kind) % len(topics)]


def _busyness(instant_ms: int) -> float:
    """Relative traffic of an hour, by its time of the day (UTC)."""
    hour = instant_ms / Grain.HOUR.milliseconds % 24
    return 1.2 + math.cos((hour - BUSIEST_HOUR) / 24 * 2 * math.pi)


def run_demo(
    bootstrap: str,
    topics: Sequence[str],
    traffic: Traffic,
    clock_ms: Callable[[], int],
    stop: threading.Event,
    history: bool,
) -> None:
    """Produce until told to stop. The embedded broker keeps little, so the rate stays far below the worker's."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "sticky.partitioning.linger.ms": 0,  # evenly, since the embedded broker keeps 5 MB of each partition
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
    for at_ms, record in traffic.history(clock_ms()) if history else ():
        # As if published then: by a charge that is published now, as_of would pass what is not read yet.
        producer.produce(topic_of(record, topics), record, timestamp=at_ms)
    producer.flush(10)
    due = 0.0
    while not stop.wait(TICK_SECONDS):
        due += EVENTS_A_SECOND * TICK_SECONDS
        for record in traffic.live(clock_ms(), int(due)):
            producer.produce(topic_of(record, topics), record)
        due %= 1
        producer.poll(0)
    producer.flush(2)
