"""A worker whose framework, on SIGUSR1, hands on nothing more: everybody answers, and nothing moves."""

import signal
import sys
from typing import Any

import deploy.cli.main
from pipeline.kafka.fetching import Fetching
from pipeline.worker import health

STALLED_SECONDS = 20.0
"""Instead of a minute, which is long for a test."""


def stall(*_: Any) -> None:
    Fetching.drain = lambda self, consumer, active: {}  # type: ignore[method-assign]


if __name__ == "__main__":
    health.STALLED_SECONDS = STALLED_SECONDS
    signal.signal(signal.SIGUSR1, stall)
    sys.argv = ["msgmetrics", "worker"]
    deploy.cli.main.main()
