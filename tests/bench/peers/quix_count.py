"""Quix Streams: events counted by organization (their key) and minute. Runs in an environment of its own."""

import json
import os
import sys
import tempfile
import time
from datetime import timedelta
from typing import Any

from quixstreams import Application

bootstrap, topic_name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen, began, cpu = 0, 0.0, 0.0


def note(_: Any) -> None:
    """Counts what came; ends the process when that is enough."""
    global seen, began, cpu
    if not seen:
        began, cpu = time.perf_counter(), time.process_time()
    seen += 1
    if seen >= count:
        took, used = time.perf_counter() - began, time.process_time() - cpu
        print(json.dumps({"rate": seen / took, "cpu_us": used / seen * 1e6}), flush=True)
        os._exit(0)


app = Application(
    broker_address=bootstrap,
    consumer_group=f"bench-quix-{time.time_ns()}",
    auto_offset_reset="earliest",
    state_dir=tempfile.mkdtemp(),
    use_changelog_topics=False,
    loglevel="ERROR",
)
frame = app.dataframe(app.topic(topic_name, value_deserializer="json"))
frame = frame.tumbling_window(timedelta(minutes=1)).count().current()
frame.update(note)
app.run()
