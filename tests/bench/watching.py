"""What is measured of processes from outside: when a worker began and was done, its processor time, its memory."""

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

import httpx2
from confluent_kafka import Consumer, TopicPartition

from tests.support.system import Process, System
from tests.support.usage import cpu_seconds, peak_mib

POLL_SECONDS = 0.05
STAGE = re.compile(r'^msgmetrics_worker_stage_seconds_sum\{stage="(\w+)"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """A worker from its first fetch to the commit of the last event."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    stages: Mapping[str, float]


def wait_for(what: str, check: Callable[[], bool], seconds: float) -> None:
    """Poll often; ends the run when it takes too long."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:.0f} s for {what}")
        time.sleep(POLL_SECONDS)


def run_of(system: System, worker: Process, group: str, seconds: float) -> Run:
    """Watch a worker that was just started until everything in the log is committed."""
    wait_for(f"{worker.name} to begin; see {worker.log}", lambda: "reading {" in worker.log.read_text(), 60)
    began, cpu = time.monotonic(), cpu_seconds(worker.pid)
    settings = {"bootstrap.servers": system.broker.bootstrap, "group.id": group, "log_level": 0}
    with closing(Consumer(settings)) as consumer:
        tps = [TopicPartition(*place) for place in system.places()]
        ends = [consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in tps]

        def done() -> bool:
            if not worker.is_alive:
                raise SystemExit(f"{worker.name} has ended; see its log:\n{worker.log.read_text()[-2000:]}")
            return [max(tp.offset, 0) for tp in consumer.committed(tps, timeout=10)] == ends

        wait_for(f"{worker.name} to commit everything", done, seconds)
    took = time.monotonic() - began
    text = httpx2.get(worker.admin_url + "/metrics", timeout=10).text
    stages = {stage: float(value) for stage, value in STAGE.findall(text)}
    return Run(took, cpu_seconds(worker.pid) - cpu, peak_mib(worker.pid), stages)


def last_json(output: str) -> dict[str, float] | None:
    """What a measuring process said in its last line of JSON."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    return dict(json.loads(lines[-1])) if lines else None
