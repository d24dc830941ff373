"""The clients' guide keeps a table in step: its program is run between late events, credits and erasures."""

import itertools
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

from api.app import create_app
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertFacts
from pipeline.core.erasure import order_erasure_steps
from pipeline.core.progress import Progress
from pipeline.core.protocol import progress_steps, rebuild_steps, roll_steps
from pipeline.runner import drive
from schemas.grain import Grain
from schemas.instant import second, wall_clock_ms
from schemas.tiers import Tier
from tests.docs.blocks import blocks
from tests.support.endpoint import NOW
from tests.support.places import P0, TOPIC
from tests.support.serving import serving
from tests.support.stores import DAY, facts

HOUR = Grain.HOUR.seconds
CENT, HALF = 1_000_000, Decimal("0.5")


def program() -> str:
    (found,) = [b.text for b in blocks("docs/clients.md") if b.language == "python" and "sqlite3" in b.text]
    return found


@dataclass
class Client:
    """Whoever runs the program, in a directory of its own."""

    directory: Path
    url: str
    key: str

    def sync(self) -> dict[tuple[str, str], Decimal]:
        """Run the program; returns its table."""
        done = subprocess.run(
            [sys.executable, "-c", program().replace("http://127.0.0.1:8000", self.url)],
            cwd=self.directory, env=os.environ | {"KEY": self.key}, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows = sqlite3.connect(self.directory / "copy.db").execute("SELECT hour, channel, cents FROM costs").fetchall()
        return {(hour, channel): Decimal(cents) for hour, channel, cents in rows}


@pytest.fixture
def guided(url: str, client: Driver, tmp_path: Path) -> Iterator[Client]:
    """A client of organization a."""
    set_tier(client, "a", Tier.SCALE)
    app = create_app(Reader(url), wall_clock_ms, itertools.count().__next__)  # no answer is reused
    with serving(app) as server:
        key = create_key(client, "a", ("metrics:read",), None, NOW)
        yield Client(tmp_path, f"http://127.0.0.1:{server.bound_port}", key)


def test_the_table_is_what_the_facts_say_whatever_happened(url: str, guided: Client) -> None:
    store = Store(url, "cluster", "worker", 10)

    def count() -> None:
        """All up to now is aggregated, whatever arrived."""
        drive(progress_steps([Progress(P0, 0, wall_clock_ms())], 0), store.perform)
        drive(roll_steps({TOPIC}, {TOPIC: {P0}}), store.perform)
        drive(rebuild_steps(DAY, wall_clock_ms() // 1000), store.perform)

    store.perform(InsertFacts(facts(("a", "1", 1, 2 * CENT, DAY + 60), ("a", "2", 1, CENT // 2, DAY + 3 * HOUR))))
    count()
    assert guided.sync() == {(second(DAY), "sms"): 2, (second(DAY + 3 * HOUR), "sms"): HALF}
    store.perform(InsertFacts(facts(("a", "3", 4, -CENT // 2, DAY + 3 * HOUR), ("a", "4", 4, -CENT, DAY + 61))))
    count()
    assert guided.sync() == {(second(DAY), "sms"): 1}, "where it cancels out, a group goes"
    drive(order_erasure_steps("a", wall_clock_ms()), store.perform)
    assert guided.sync() == {}


def test_a_program_that_is_interrupted_has_changed_nothing(url: str, guided: Client) -> None:
    store = Store(url, "cluster", "worker", 10)
    guided.sync()
    before = (guided.directory / "copy.db").read_bytes()
    store.perform(InsertFacts(facts(("a", "1", 1, CENT, DAY + 60))))
    gone = Client(guided.directory, "http://127.0.0.1:1", guided.key)
    with pytest.raises(AssertionError, match="Connection refused"):
        gone.sync()
    assert (guided.directory / "copy.db").read_bytes() == before
