"""Steady events: ``python -m tests.bench.steady BOOTSTRAP TOPIC RATE SECONDS`` prints the rate that it kept."""

import json
import sys
import time
from datetime import UTC, datetime

from confluent_kafka import Producer

from tests.bench.events import HOW, ORGANIZATIONS

TICK_SECONDS = 0.02


def main() -> None:
    """Send what is due at every tick; one that falls behind catches up until the time is over."""
    bootstrap, topic, rate, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    settings = {"bootstrap.servers": bootstrap, "log_level": 0, "queue.buffering.max.messages": 1_000_000}
    producer, sent, run = Producer({**settings, **HOW}), 0, time.time_ns()
    began = time.monotonic()
    keys = [f"org-{number}".encode() for number in range(ORGANIZATIONS)]
    while (passed := time.monotonic() - began) < seconds:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        tail = f'","type":"message.sent","channel":"sms","cost_cents":"0.75","occurred_at":"{at}","org_id":"'.encode()
        for number in range(sent, int(passed * rate)):
            key = keys[number % ORGANIZATIONS]
            producer.produce(topic, b'{"event_id":"%d-%d%s%s"}' % (run, number, tail, key), key)
        sent = max(sent, int(passed * rate))
        producer.poll(0)
        time.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - began - passed)))
    took = time.monotonic() - began
    assert producer.flush(60) == 0
    print(json.dumps({"rate": sent / took}), flush=True)


if __name__ == "__main__":
    main()
