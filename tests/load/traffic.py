"""Events at a steady rate, and what they must add up to."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from confluent_kafka import Producer

from tests.load.verdict import METRICS, Rows, no_rows
from tests.support.places import TOPIC

ORGS, TICK_SECONDS = 50, 0.02
DOUBLE_EVERY, LATE_EVERY, EARLIER_EVERY, BROKEN_EVERY = 97, 211, 499, 1009
KINDS = ("sent", "sent", "delivered", "failed")
CHANNELS = ("sms", "email", "whatsapp")
COSTS_MICROS = (750_000, 20_000, 500_000)
ERRORS = ("", "30003", "30007", "21610", "bounced")
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
    """Sends, and counts what was sent."""

    producer: Producer
    expected: Rows = field(default_factory=no_rows)
    events: int = 0
    records: int = 0
    broken: int = 0
    failed: int = 0

    def run(self, seconds: float, rate: int) -> None:
        """Send ``rate`` events a second until the time is up. Where that falls behind it sends faster."""
        before, began = self.events, time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            due = before + int(min(passed + TICK_SECONDS, seconds) * rate) - self.events
            now_ms = time.time_ns() // 1_000_000
            now_text = _text(now_ms)
            for _ in range(due):
                self._event(now_ms, now_text)
            self.producer.poll(0)
            time.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - began - passed)))
        assert self.producer.flush(120) == 0

    def _event(self, now_ms: int, now_text: str) -> None:
        number, self.events = self.events, self.events + 1
        at_ms = occurred_ms(number, now_ms)
        kind, channel, org = KINDS[number % 4], CHANNELS[number % 3], f"org-{number % ORGS}"
        code = ERRORS[number // 4 % len(ERRORS)] if kind == "failed" else ""
        cost = COSTS_MICROS[number % 3] if kind == "sent" else 0
        error = f',"error_code":"{code}"' if code else ""
        value = (
            f'{{"event_id":"load-{number}","type":"message.{kind}","org_id":"{org}","channel":"{channel}"{error},'
            f'"cost_cents":"{cost // 1_000_000}.{cost % 1_000_000:06}",'
            f'"occurred_at":"{now_text if at_ms == now_ms else _text(at_ms)}"}}'
        ).encode()
        row = self.expected[org, at_ms // 60_000, channel, code]
        row[METRICS.index(kind)] += 1
        row[-1] += cost
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
                self.producer.produce(TOPIC, value, key=org, on_delivery=self._not_delivered)
            except BufferError:
                self.producer.poll(0.05)
            else:
                return

    def _not_delivered(self, *_: object) -> None:
        """Heard of failures alone: the producer reports nothing else."""
        self.failed += 1


def _text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
