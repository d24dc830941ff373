"""Steady events: ``python -m tests.bench.steady BOOTSTRAP TOPIC RATE SECONDS [charges]`` prints the rate that it kept.

With charges every third event is one, for a message of six hours ago, give or take half an hour.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta

from confluent_kafka import Producer

from tests.bench.events import HOW, ORGANIZATIONS

TICK_SECONDS = 0.02
CHARGE_EVERY, LATE_MINUTES, SPREAD_MINUTES = 3, 360, 60
PER_MINUTE = CHARGE_EVERY * 50
"""After so many events charges are for another minute: fifty of them in a row, one of each organization."""


def main() -> None:
    """Send what is due at every tick; one that falls behind catches up until the time is over."""
    bootstrap, topic, rate, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    with_charges = sys.argv[5:] == ["charges"]
    settings = {"bootstrap.servers": bootstrap, "log_level": 0, "queue.buffering.max.messages": 1_000_000}
    producer, sent, run = Producer({**settings, **HOW}), 0, time.time_ns()
    began = time.monotonic()
    keys = [f"org-{number}".encode() for number in range(ORGANIZATIONS)]
    while (passed := time.monotonic() - began) < seconds:
        now = datetime.now(UTC)
        message, charge = _tail(now, "sent", "0.75"), b""
        for number in range(sent, int(passed * rate)):
            key, tail = keys[number % ORGANIZATIONS], message
            if with_charges and number % CHARGE_EVERY == 0:
                if number % PER_MINUTE == 0 or not charge:
                    charge = _tail(now - timedelta(minutes=_minutes_late(number)), "charged", "-0.05")
                tail = charge
            producer.produce(topic, b'{"event_id":"%d-%d%s%s"}' % (run, number, tail, key), key)
        sent = max(sent, int(passed * rate))
        producer.poll(0)
        time.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - began - passed)))
    took = time.monotonic() - began
    assert producer.flush(60) == 0
    print(json.dumps({"rate": sent / took}), flush=True)


def _tail(at: datetime, kind: str, cost: str) -> bytes:
    """The event behind its id and before its organization."""
    text = at.isoformat(timespec="milliseconds")
    return f'","type":"message.{kind}","channel":"sms","cost_cents":"{cost}","occurred_at":"{text}","org_id":"'.encode()


def _minutes_late(number: int) -> int:
    return LATE_MINUTES - SPREAD_MINUTES // 2 + number // PER_MINUTE % SPREAD_MINUTES


if __name__ == "__main__":
    main()
