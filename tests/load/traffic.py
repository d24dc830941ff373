"""Events at a steady rate and what they must add up to; requests at a steady rate and how they were answered."""

import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx2
from confluent_kafka import Producer

from tests.support.system import TOPIC

ORGS, TICK_SECONDS = 50, 0.02
DOUBLE_EVERY, LATE_EVERY, EARLIER_EVERY, BROKEN_EVERY = 97, 211, 499, 1009
KINDS = ("sent", "sent", "delivered", "failed")
CHANNELS = ("sms", "email", "whatsapp")
COSTS_MICROS = (750_000, 20_000, 500_000)
LATE_MS = 45 * 60_000
DAY_MS, AROUND_MIDNIGHT_MS = 86_400_000, 600_000
EARLIER_DAYS = 3


def occurred_ms(number: int, now_ms: int) -> int:
    """When an event happened: now, almost an hour ago, or within ten minutes of a midnight some days ago.

    Those of the earlier days are what days can be compared by: a day is closed only when it is over.
    """
    if number % EARLIER_EVERY == 0:
        midnight = now_ms // DAY_MS * DAY_MS - (1 + number // EARLIER_EVERY % EARLIER_DAYS) * DAY_MS
        return midnight - AROUND_MIDNIGHT_MS + number * 7919 % (2 * AROUND_MIDNIGHT_MS)
    return now_ms - (LATE_MS + number % 600_000 if number % LATE_EVERY == 0 else 0)


@dataclass
class Traffic:
    """Sends, and counts by (org, minute) what was sent: [sent, delivered, failed, cost in millionths]."""

    producer: Producer
    rate: int
    expected: dict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0, 0]))
    events: int = 0
    records: int = 0
    broken: int = 0
    failed: int = 0

    def run(self, seconds: float) -> None:
        """Send until the time is up; one that falls behind sends faster until it has caught up, or time is up."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            due = int(min(passed + TICK_SECONDS, seconds) * self.rate) - self.events
            now_ms = time.time_ns() // 1_000_000
            for _ in range(due):
                self._event(now_ms)
            self.producer.poll(0)
            time.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - began - passed)))
        assert self.producer.flush(120) == 0

    def _event(self, now_ms: int) -> None:
        number, self.events = self.events, self.events + 1
        at_ms = occurred_ms(number, now_ms)
        kind, which, org = KINDS[number % 4], number % 3, f"org-{number % ORGS}"
        cost = COSTS_MICROS[which] if kind == "sent" else 0
        at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        value = (
            f'{{"event_id":"load-{number}","type":"message.{kind}","org_id":"{org}","channel":"{CHANNELS[which]}",'
            f'"cost_cents":"{cost // 1_000_000}.{cost % 1_000_000:06}","occurred_at":"{at}"}}'
        ).encode()
        row = self.expected[org, at_ms // 60_000]
        row[("sent", "delivered", "failed").index(kind)] += 1
        row[3] += cost
        self._send(value, org)
        if number % DOUBLE_EVERY == 0:
            self._send(value, org)
        if number % BROKEN_EVERY == 0:
            self._send(value[:-1], org)
            self.broken += 1

    def _send(self, value: bytes, org: str) -> None:
        self.records += 1
        while True:
            try:
                self.producer.produce(TOPIC, value, key=org, on_delivery=self._delivered)
            except BufferError:
                self.producer.poll(0.05)
            else:
                return

    def _delivered(self, error: object, _: object) -> None:
        self.failed += error is not None


@dataclass
class Clients:
    """Ask at a steady rate from several threads; ``milliseconds`` has every answer's time."""

    url: str
    keys: dict[str, str]
    rate: float
    threads: int = 8
    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def start(self, stop: threading.Event) -> list[threading.Thread]:
        started = [threading.Thread(target=self._ask, args=(stop, n)) for n in range(self.threads)]
        for thread in started:
            thread.start()
        return started

    def _ask(self, stop: threading.Event, seed: int) -> None:
        pick, pause, due = random.Random(seed), self.threads / self.rate, time.monotonic()
        with httpx2.Client(base_url=self.url, timeout=10) as client:
            while not stop.wait(max(0.0, due - time.monotonic())):
                due += pause
                began = time.monotonic()
                self.statuses[self._one(client, pick)] += 1
                self.milliseconds.append((time.monotonic() - began) * 1000)

    def _one(self, client: httpx2.Client, pick: random.Random) -> int:
        org = pick.choice(list(self.keys))
        query = {"metric": pick.choice(["sent", "delivered", "failed", "cost_cents"])}
        query["granularity"] = pick.choice(["minute", "hour", "day"])
        if pick.random() < 0.3:
            query["group_by"] = pick.choice(["channel", "error_code"])
        headers = {"Authorization": f"Bearer {self.keys[org]}"}
        try:
            return client.get("/v1/metrics/messages", params=query, headers=headers).status_code
        except httpx2.TransportError:
            return 0
