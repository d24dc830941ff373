"""The clients' guide keeps a table in step: its program is run between late events, credits and erasures."""

import itertools
import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client as Driver
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import create_app
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from deploy.cli.erase import erase_organization
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertFacts
from pipeline.core.erasure import order_erasure_steps
from pipeline.core.progress import Progress
from pipeline.core.protocol import progress_steps, rebuild_steps, roll_steps
from pipeline.runner import drive
from schemas.grain import Grain
from schemas.instant import second, wall_clock_ms
from schemas.tables import RESYNCS
from schemas.tiers import Tier
from tests.docs.blocks import blocks
from tests.support.endpoint import NOW
from tests.support.places import P0, TOPIC
from tests.support.serving import serving
from tests.support.stores import DAY, facts

HOUR = Grain.HOUR.seconds
CENT, HALF = 1_000_000, Decimal("0.5")


FIRST_PAGE = 10


def program(url: str) -> str:
    """The guide's program, with another address, a copy since yesterday and a short first page."""
    (text,) = [b.text for b in blocks("docs/clients.md") if b.language == "python" and "sqlite3" in b.text]
    changes = {
        "http://127.0.0.1:8000": url,
        '"2026-11-01T00:00:00Z"': f'"{second(DAY)}", "limit": "{FIRST_PAGE}"',
    }
    for found, changed in changes.items():
        assert text.count(found) == 1
        text = text.replace(found, changed)
    return text


@dataclass
class Breaking:
    """The API, which finds nothing any more once it has answered ``left`` more requests."""

    app: ASGIApp
    left: float = math.inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.left -= 1
            scope = scope if self.left >= 0 else {**scope, "path": "/nowhere"}
        await self.app(scope, receive, send)


@dataclass
class Client:
    """Whoever runs the program, in a directory of its own."""

    directory: Path
    url: str
    key: str
    api: "Breaking"
    listed: int = 0

    def sync(self) -> dict[tuple[str, str], Decimal]:
        """Run the program; returns its table, and notes how many hours were listed."""
        done = subprocess.run(
            [sys.executable, "-c", program(self.url)],
            cwd=self.directory, env=os.environ | {"KEY": self.key}, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.listed = int(done.stdout.split()[0])
        return self.table()

    def table(self) -> dict[tuple[str, str], Decimal]:
        rows = sqlite3.connect(self.directory / "copy.db").execute("SELECT hour, channel, cents FROM costs").fetchall()
        return {(hour, channel): Decimal(cents) for hour, channel, cents in rows}


@pytest.fixture
def guided(url: str, client: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of organization a. What it has once is listed again only if it changed: not since the tables were made a
    moment ago, nor for the ten minutes in which a statement may have been under way."""
    monkeypatch.setattr("api.changes.MARGIN_SECONDS", 0)
    client.command(f"TRUNCATE TABLE {RESYNCS}")
    set_tier(client, "a", Tier.SCALE)
    api = Breaking(create_app(Reader(url), wall_clock_ms, itertools.count().__next__))  # no answer is reused
    with serving(api) as server:
        key = create_key(client, "a", ("metrics:read",), None, NOW)
        yield Client(tmp_path, f"http://127.0.0.1:{server.bound_port}", key, api)


@pytest.fixture
def store(url: str) -> Store:
    return Store(url, "cluster", "worker", 10)


def count(store: Store) -> None:
    """All up to now is aggregated, whatever arrived."""
    drive(progress_steps([Progress(P0, 0, wall_clock_ms())], 0), store.perform)
    while drive(roll_steps({TOPIC}, {TOPIC: {P0}}), store.perform).more:
        pass
    drive(rebuild_steps(DAY, wall_clock_ms() // 1000), store.perform)


def test_the_table_is_what_the_facts_say_whatever_happened(store: Store, client: Driver, guided: Client) -> None:
    store.perform(InsertFacts(facts(("a", "1", 1, 2 * CENT, DAY + 60), ("a", "2", 1, CENT // 2, DAY + 3 * HOUR))))
    count(store)
    assert guided.sync() == {(second(DAY), "sms"): 2, (second(DAY + 3 * HOUR), "sms"): HALF}
    assert guided.listed >= 24, "all hours since the beginning of the copy"
    store.perform(InsertFacts(facts(("a", "3", 4, -CENT // 2, DAY + 3 * HOUR), ("a", "4", 4, -CENT, DAY + 61))))
    count(store)
    assert guided.sync() == {(second(DAY), "sms"): 1}, "where it cancels out, a group goes"
    assert guided.listed <= 4, "those two, and an hour or two that have ended since"
    erase_organization(store, "a", wall_clock_ms())
    with pytest.raises(AssertionError, match="HTTP Error 401"):
        guided.sync()
    guided.key = create_key(client, "a", ("metrics:read",), None, NOW)
    assert guided.sync() == {}


def test_a_program_that_is_interrupted_has_changed_nothing(store: Store, guided: Client) -> None:
    store.perform(InsertFacts(facts(("a", "1", 1, CENT, DAY + 60))))
    count(store)
    before = guided.sync()
    drive(order_erasure_steps("a", wall_clock_ms()), store.perform)
    guided.api.left = 1  # the page with the hour that was erased
    with pytest.raises(AssertionError, match="HTTP Error 404"):
        guided.sync()
    assert guided.table() == before != {}
    guided.api.left = math.inf
    assert guided.sync() == {}
