"""Looks once a second at how old as_of is, how far the workers lag, and how much memory they hold."""

import re
import time
from collections import defaultdict
from collections.abc import Sequence

import httpx2

from tests.support.background import Background
from tests.support.system import Process, System
from tests.support.usage import resident_mib

LAG = re.compile(r"^msgmetrics_worker_partition_lag_records\{[^}]*\} (\S+)", re.MULTILINE)
AGE, BEHIND = "as_of age, s", "lag, records"


class Watching(Background):
    """Samples for as long as the block lasts; ``samples`` are by name."""

    def __init__(self, system: System, workers: Sequence[Process]) -> None:
        super().__init__()
        self._system, self._workers = system, workers
        self.samples: dict[str, list[float]] = defaultdict(list)

    def _run(self) -> None:
        while not self._stop.wait(1):
            if as_of_ms := self._system.as_of_ms():
                self.samples[AGE].append(time.time() - as_of_ms / 1000)
            lags = [_lag(worker) for worker in self._workers]
            self.samples[BEHIND].append(sum(lags))
            for worker in self._workers:
                self.samples[f"{worker.name} RSS, MiB"].append(resident_mib(worker.pid))


def _lag(worker: Process) -> float:
    text = httpx2.get(f"{worker.admin_url}/metrics", timeout=10).text
    return sum(float(found) for found in LAG.findall(text))
