"""Faust's own ways to consume, as its guide shows them: what the batch transport is measured against.

A process of its own: ``python -m tests.bench.faust_agents BOOTSTRAP TOPIC COUNT table|event`` prints rate and CPU.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from datetime import timedelta
from typing import Any

import faust


class MessageEvent(faust.Record, serializer="json"):  # type: ignore[call-arg,misc]
    """An event as Faust decodes it."""

    event_id: str
    type: str
    org_id: str
    channel: str
    occurred_at: str
    cost_cents: str = "0"


def main() -> None:
    """Consume COUNT events and print how many a second that were."""
    bootstrap, topic_name, count, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    app = faust.App(
        f"bench-{how}-{time.time_ns()}",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=8,
        datadir=tempfile.mkdtemp(),
        consumer_auto_offset_reset="earliest",
    )
    topic = app.topic(topic_name, value_type=MessageEvent)
    counts: Any = None
    if how == "table":
        counts = app.Table("counts", default=int).tumbling(timedelta(minutes=1), expires=timedelta(hours=1))
    seen, began, cpu = 0, 0.0, 0.0

    async def consume(stream: Any) -> None:
        nonlocal seen, began, cpu
        async for event in stream:
            if not seen:
                began, cpu = time.perf_counter(), time.process_time()
            if counts is not None:
                counts[event.org_id] += 1
            seen += 1
            if seen >= count:
                took, used = time.perf_counter() - began, time.process_time() - cpu
                print(json.dumps({"rate": seen / took, "cpu_us": used / seen * 1e6}), flush=True)
                os._exit(0)

    app.agent(topic)(consume)

    async def run() -> None:
        await app.start()
        await asyncio.sleep(300)

    asyncio.run(run())


if __name__ == "__main__":
    main()
