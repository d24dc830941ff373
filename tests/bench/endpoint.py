"""The endpoint on more and more facts: cold, repeated, beside bare Starlette with the same bytes, and the bare SQL."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from api.endpoint import QUERIES_AN_ORGANIZATION
from api.params import Metric
from api.reader import Reader
from api.window import Window
from schemas.grain import Grain
from schemas.tables import FACTS, rollup_table
from tests.bench.dataset import close, days_before_today, disk_bytes, engine_mib, fill, store_of
from tests.bench.events import ORGANIZATIONS
from tests.bench.figures import Figures
from tests.bench.watching import last_json
from tests.support.kafka_broker import free_port
from tests.support.system import ROOT, System, wait_until

PART, GROWTH = "endpoint", "growth by facts"
FACTS_IN_PLACE = (1_000_000, 10_000_000, 50_000_000)
SECONDS = 2.0
CONNECTIONS = 16
PATH = "/v1/metrics/messages"
TWO_PAGES_TIMES = 60
COLD_LIMITS = range(4_000, 5_001)
"""Limits that make a thousand different questions of one, so that none is answered from what is kept. A page of the
largest size is moved by a bucket instead."""
REPEATED_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Question:
    """The newest ``buckets`` of a grain, up to the last midnight. ``at_most_ms`` is the target of a cold p99."""

    name: str
    grain: Grain
    buckets: int
    more: str = ""
    at_most_ms: float | None = None

    def window(self, end: int) -> Window:
        return Window(self.grain, end - self.buckets * self.grain.seconds, end)

    def path(self, end: int, limit: int) -> str:
        window = self.window(end)
        since, until = (datetime.fromtimestamp(x, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for x in (window.start, end))
        return f"{PATH}?metric=sent&granularity={self.grain}&from={since}&to={until}&limit={limit}{self.more}"

    def cold_paths(self, end: int) -> list[str]:
        """A thousand different questions for as much work as this one."""
        if self.buckets <= COLD_LIMITS[0]:
            return [self.path(end, limit) for limit in COLD_LIMITS]
        return [self.path(end - n * self.grain.seconds, COLD_LIMITS[-1]) for n in range(len(COLD_LIMITS))]


QUESTIONS = (
    Question("24 hours", Grain.HOUR, 24, at_most_ms=15),
    Question("30 days", Grain.DAY, 30),
    Question("24 hours grouped and compared", Grain.HOUR, 24, "&group_by=channel&compare_to=prior_period"),
    Question("1,440 minutes", Grain.MINUTE, 1_440),
    Question("1,440 minutes grouped and compared", Grain.MINUTE, 1_440, "&group_by=channel&compare_to=prior_period"),
    Question("5,000 minutes (the largest page)", Grain.MINUTE, 5_000),
    Question("10,000 minutes in two pages", Grain.MINUTE, 10_000, at_most_ms=120),
)


def measure(figures: Figures, scale: float) -> None:
    """A system for each size, with one more to compare its costs."""
    for facts in (int(n * scale) for n in FACTS_IN_PLACE):
        with tempfile.TemporaryDirectory() as directory, System(Path(directory)) as system:
            _one_size(figures, system, Path(directory), facts)


def _one_size(figures: Figures, system: System, directory: Path, facts: int) -> None:
    span, store = days_before_today(), store_of(system)
    filled = fill(system, facts, ORGANIZATIONS, span)
    closed = close(store, span)
    figures.add(GROWTH, f"{facts:,} facts, inserting them by SQL", filled / facts * 1e6, "µs/fact")
    figures.add(GROWTH, f"{facts:,} facts, closing all buckets", closed / facts * 1e6, "µs/fact")
    rollups = sum(disk_bytes(system, rollup_table(grain)) for grain in Grain)
    figures.add(GROWTH, f"{facts:,} facts, on disk", disk_bytes(system, FACTS) / facts, "bytes/fact")
    figures.add(GROWTH, f"{facts:,} facts, rollups on disk", rollups / facts, "bytes/fact")
    figures.add(GROWTH, f"{facts:,} facts, ClickHouse's peak memory", engine_mib(system), "MiB")
    system.run("orgs", "set", "org-1", "--tier", "scale")
    key = next(w for w in system.run("keys", "create", "org-1").split() if w.startswith("am_live_"))
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    url = system.start_api()
    for question in QUESTIONS:
        _one_question(figures, f"{facts:,} facts, {question.name}", question, url, headers, span.end)
        _bare_sql(figures, f"{facts:,} facts, {question.name}", question, system, span.end)
    first = httpx2.get(url + QUESTIONS[0].path(span.end, 1000), headers=headers, timeout=10)
    repeated = _ask(url, [QUESTIONS[0].path(span.end, 1000)], headers, CONNECTIONS)
    bare = _bare_starlette(directory, first.content)
    name = f"{facts:,} facts, 24 hours"
    figures.add(PART, f"{name}, repeated, 16 connections", repeated["rate"], "requests/s")
    figures.add(PART, f"{name}, bare Starlette, same bytes", bare["rate"], "requests/s")
    share = repeated["rate"] / bare["rate"]
    figures.add(PART, f"{name}, repeated, share of bare Starlette", share, "", at_least=REPEATED_SHARE)
    figures.add(PART, f"{name}, repeated, p99 of 16 connections", repeated["p99_ms"], "ms")


def _one_question(figures: Figures, name: str, question: Question, url: str, headers: dict[str, str], end: int) -> None:
    """Cold by one connection for its latency, and by many for its rate. Two pages are one question."""
    if question.buckets > COLD_LIMITS[-1]:
        _two_pages(figures, name, question, url, headers, end)
        return
    paths = question.cold_paths(end)
    _ask(url, paths[:50], headers, 1, 0.3)
    cold, many = _ask(url, paths, headers, 1), _ask(url, paths, headers, QUERIES_AN_ORGANIZATION)
    figures.add(PART, f"{name}, cold p50", cold["p50_ms"], "ms")
    figures.add(PART, f"{name}, cold p99", cold["p99_ms"], "ms", at_most=question.at_most_ms)
    figures.add(PART, f"{name}, cold, {QUERIES_AN_ORGANIZATION} connections", many["rate"], "requests/s")


def _two_pages(figures: Figures, name: str, question: Question, url: str, headers: dict[str, str], end: int) -> None:
    """The whole window by one client, both pages together."""
    took: list[float] = []
    with httpx2.Client(base_url=url, headers=headers, timeout=30) as client:
        for number in range(TWO_PAGES_TIMES):
            path, began = question.path(end - number * question.grain.seconds, COLD_LIMITS[-1]), time.perf_counter()
            first = client.get(path).json()
            client.get(PATH, params={"cursor": first["meta"]["next_cursor"], "limit": COLD_LIMITS[-1]})
            took.append((time.perf_counter() - began) * 1000)
    ordered = sorted(took)
    figures.add(PART, f"{name}, cold p50", ordered[len(took) // 2], "ms")
    figures.add(PART, f"{name}, cold p99", ordered[int(len(took) * 0.99)], "ms", at_most=question.at_most_ms)


def _bare_sql(figures: Figures, name: str, question: Question, system: System, end: int) -> None:
    """The statements alone, by the API's own reader in this process."""
    reader = Reader(system.environment["MSGMETRICS_CLICKHOUSE_URL"])
    group = "channel" if "group_by" in question.more else None
    windows = [question.window(end)] + ([question.window(end).before()] if "compare_to" in question.more else [])
    took: list[float] = []
    until = time.perf_counter() + SECONDS / 2
    while time.perf_counter() < until:
        began = time.perf_counter()
        reader.as_of_ms()
        for window in windows:
            reader.values("org-1", Metric.SENT, window, group)
        took.append((time.perf_counter() - began) * 1000)
    figures.add(PART, f"{name}, the bare SQL, p50", sorted(took)[len(took) // 2], "ms")


def _ask(
    url: str, paths: Sequence[str], headers: dict[str, str], connections: int, seconds: float = SECONDS
) -> dict[str, float]:
    """Ask from a process of its own."""
    asked: dict[str, Any] = {
        "port": int(url.rsplit(":", 1)[1]),
        "paths": list(paths),
        "headers": headers,
        "connections": connections,
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.asking"],
        input=json.dumps(asked), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    measured = last_json(done.stdout)
    if measured is None:
        raise SystemExit(f"asking measured nothing:\n{done.stderr[-2000:]}")
    return measured


def _bare_starlette(directory: Path, body: bytes) -> dict[str, float]:
    """The rate of a server that does nothing but send these bytes."""
    file, port = directory / "body", free_port()
    file.write_bytes(body)
    words = [sys.executable, "-m", "tests.bench.bare", str(port), str(file)]
    server, url = subprocess.Popen(words, cwd=ROOT), f"http://127.0.0.1:{port}"
    try:
        wait_until("bare Starlette", lambda: _answers(url), 20)
        return _ask(url, [PATH], {}, CONNECTIONS)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url + PATH, timeout=2).status_code == 200
    except httpx2.TransportError:
        return False
