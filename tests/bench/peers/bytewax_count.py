"""Bytewax: events counted by organization and minute of event time. Runs in an environment of its own."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import msgspec
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
from bytewax.testing import TestingSink


class Event(msgspec.Struct):
    """What is counted by."""

    org_id: str
    occurred_at: datetime


bootstrap, topic = sys.argv[1], sys.argv[2]
decode = msgspec.json.Decoder(Event).decode
seen, began, cpu = 0, 0.0, 0.0
windows: list[Any] = []


def keyed(message: Any) -> tuple[str, Event]:
    """Decoded, by organization."""
    global seen, began, cpu
    if not seen:
        began, cpu = time.perf_counter(), time.process_time()
    seen += 1
    event = decode(message.value)
    return event.org_id, event


flow = Dataflow("bench")
source = KafkaSource([bootstrap], [topic], batch_size=1000, tail=False)
stream = op.map("decode", op.input("kafka", flow, source), keyed)
clock = win.EventClock(lambda event: event.occurred_at, wait_for_system_duration=timedelta(seconds=10))
minutes = win.TumblingWindower(align_to=datetime(2020, 1, 1, tzinfo=UTC), length=timedelta(minutes=1))
counted = win.fold_window(
    "fold", stream, clock, minutes, lambda: 0, lambda total, _: total + 1, lambda one, other: one + other
)
op.output("out", counted.down, TestingSink(windows))
cli_main(flow)  # to the end of the topic: what is decoded and not yet counted does not pass for done
took, used = time.perf_counter() - began, time.process_time() - cpu
late = seen - sum(total for _, (_, total) in windows)
print(json.dumps({"rate": seen / took, "cpu_us": used / seen * 1e6, "late": late}), flush=True)
