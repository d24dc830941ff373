"""``make soak``: a steady load, with memory, lag, age of `as_of` and parts sampled all along and drawn as a picture."""

import argparse
import itertools
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.draw import draw
from tests.support.places import TOPIC
from tests.support.system import Process, System
from tests.support.usage import resident_mib

SAMPLE_SECONDS = 2.0
TICK_SECONDS = 0.05
ORGS = 200
LATE_EVERY = 100
"""One event in so many is some minutes late."""
MAX_RSS_MIB = 1024
LATENESS_SECONDS = 10
_STATE = """
SELECT
    (SELECT count() FROM facts),
    (SELECT toUnixTimestamp64Milli(max(as_of)) FROM watermark),
    toUnixTimestamp64Milli(now64(3)),
    (SELECT sum(log_end_offset - next_offset) FROM partition_status FINAL)
"""
_PARTS = "SELECT table, count() FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"
_PARTED = ("facts", "rollup_minute", "rollup_hour", "partition_watermarks")


@dataclass
class Sample:
    """What was seen at a moment, ``at`` seconds after the start."""

    at: float
    rss_mib: float
    facts: int
    lag: int
    as_of_age_seconds: float | None
    parts: dict[str, int] = field(default_factory=dict)


def sample(system: System, worker: Process, began: float) -> Sample:
    ((facts, as_of, now, lag),) = system.query(_STATE)
    counts = dict(system.query(_PARTS))
    parts = {table: int(counts.get(table, 0)) for table in _PARTED}
    age = (now - as_of) / 1000 if as_of else None
    return Sample(time.monotonic() - began, resident_mib(worker.pid), int(facts), int(lag), age, parts)


def event(number: int, now: datetime) -> bytes:
    """The n-th event, about 200 bytes; one in a hundred is late."""
    at = now - timedelta(minutes=number // LATE_EVERY % 90 + 2) if number % LATE_EVERY == 0 else now
    kind = ("sent", "delivered", "failed")[number % 3]
    return (
        f'{{"event_id":"soak-{number:012}","type":"message.{kind}","org_id":"org-{number * 7919 % ORGS}",'
        f'"channel":"{("sms", "email", "whatsapp")[number % 3]}","cost_cents":"0.{number % 100:02}",'
        f'"occurred_at":"{at.isoformat(timespec="milliseconds")}"}}'
    ).encode()


class SteadyLoad:
    """Produces at a rate until stopped; ``sent`` is how many events."""

    def __init__(self, system: System, rate: int) -> None:
        self._system, self._rate, self.sent = system, rate, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._produce, name="load")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _due(self, began: float) -> Iterator[int]:
        wanted = int((time.monotonic() - began) * self._rate)
        return iter(range(self.sent, wanted))

    def _produce(self) -> None:
        settings = {"compression.type": "lz4", "enable.idempotence": True, "message.timeout.ms": 600_000}
        producer, began = self._system.producer(**settings), time.monotonic()
        while not self._stop.wait(TICK_SECONDS):
            now = datetime.now(UTC)
            for number in self._due(began):
                producer.produce(TOPIC, event(number, now))
                self.sent = number + 1
            producer.poll(0)
        assert producer.flush(60) == 0


def watch(system: System, worker: Process, load: SteadyLoad, seconds: float) -> list[Sample]:
    """Sample until the time is up, and print a line now and then."""
    began, samples = time.monotonic(), list[Sample]()
    for count in itertools.count():
        time.sleep(max(0.0, began + count * SAMPLE_SECONDS - time.monotonic()))
        if time.monotonic() - began > seconds:
            return samples
        samples.append(sample(system, worker, began))
        if count % 15 == 0:
            print(f"{load.sent:>12,} sent  {samples[-1]}", flush=True)
    raise AssertionError("unreachable")


def wrong_counts(system: System, sent: int) -> list[str]:
    """Sentences about what does not add up; everything was sent, and the last minute is closed."""
    facts, minutes = system.query("SELECT count() FROM facts FINAL")[0][0], _counted(system)
    return [
        f"{what}: {found:,} of {sent:,}" for what, found in (("facts", facts), ("minutes", minutes)) if found != sent
    ]


def _counted(system: System) -> int:
    return int(system.query("SELECT sum(facts) FROM rollup_minute FINAL")[0][0])


def soak(seconds: float, rate: int, picture: Path) -> list[str]:
    """Run it, draw it, and return what was wrong."""
    with tempfile.TemporaryDirectory() as directory, System(Path(directory)) as system:
        worker, load = system.start_worker("worker"), SteadyLoad(system, rate)
        load.start()
        try:
            samples = watch(system, worker, load, seconds)
        finally:
            load.stop()
        system.wait_until_done(120)
        next_minute = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        system.wait_for_as_of(int(next_minute.timestamp() * 1000), 120)
        system.wait_until_done(60)
        problems = wrong_counts(system, load.sent)
        worker.end()
    picture.with_suffix(".json").write_text(json.dumps([asdict(s) for s in samples]))
    draw(samples, picture, f"{rate:,} events/s for {seconds / 60:g} minutes, one worker")
    print(_summary(samples, load.sent, seconds))
    if (peak := max(s.rss_mib for s in samples)) >= MAX_RSS_MIB:
        problems.append(f"memory reached {peak:.0f} MiB, {MAX_RSS_MIB} MiB is the limit")
    return problems


def _summary(samples: list[Sample], sent: int, seconds: float) -> str:
    steady = samples[len(samples) // 4 :]
    ages = sorted(s.as_of_age_seconds or 0 for s in steady)
    most = {table: max(s.parts[table] for s in samples) for table in _PARTED}
    return (
        f"{sent:,} events in {seconds:g} s ({sent / seconds:,.0f}/s); after the first quarter: memory at most "
        f"{max(s.rss_mib for s in steady):.0f} MiB, lag at most {max(s.lag for s in steady):,} records, as_of "
        f"{ages[len(ages) // 2]:.1f} s old in the median and {ages[-1]:.1f} s at most; most parts {most}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--picture", type=Path, default=Path("soak.png"))
    arguments = parser.parse_args()
    problems = soak(arguments.minutes * 60, arguments.rate, arguments.picture)
    print("\n".join(problems) or f"every event counted once; the picture is {arguments.picture}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
