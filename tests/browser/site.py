"""The real API on the embedded engine behind a gate, with organizations whose numbers an oracle knows."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from clickhouse_connect.driver.client import Client

from api.server import Server, api_server, serve_all
from deploy.cli.accounts import create_key, set_tier
from deploy.migrations.apply import migrate
from schemas.api_key import READ_SCOPE
from schemas.connection import connect
from schemas.settings import read_settings
from schemas.tiers import Tier
from tests.browser.gate import Gate
from tests.browser.oracle import CHARGED, Event, Oracle, charges, store_rollups, traffic
from tests.support.engine import clickhouse_process
from tests.support.system import wait_until

DAY = 86_400
BEHIND_SECONDS = 12
TIERS = {"growing": Tier.GROWTH, "small": Tier.PAYG}
"""All others have every granularity."""


@contextmanager
def serving(server: Server) -> Iterator[str]:
    """Serve in a thread of its own; the URL."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve_all([server], stop),))
    thread.start()
    try:
        wait_until("the server", lambda: server.started, 10)
        yield f"http://127.0.0.1:{server.bound_port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@dataclass
class Site:
    """A running API with what is stored behind it. ``as_of`` in epoch seconds."""

    url: str
    client: Client
    gate: Gate
    as_of: int
    oracles: dict[str, Oracle]

    def new_key(self, org: str) -> str:
        return create_key(self.client, org, (READ_SCOPE,), None, datetime.now(UTC) - timedelta(seconds=1))

    def arrive(self, org: str, *late: Event) -> None:
        """Late events are counted, and the oracle knows."""
        self.oracles[org] = replace(self.oracles[org], events=[*self.oracles[org].events, *late])
        store_rollups(self.client, org, self.oracles[org].events)

    def raise_as_of(self, as_of: int) -> None:
        """Aggregation has come this far (epoch seconds), and the oracles know."""
        self.as_of, self.oracles = as_of, {org: replace(one, as_of=as_of) for org, one in self.oracles.items()}
        self.client.command(f"INSERT INTO watermark (as_of) VALUES (toDateTime64({as_of}, 3, 'UTC'))")


def stories(now: int) -> dict[str, list[Event]]:
    """Events per organization: two periods of 30 days, the last two days of them dense."""
    busy = traffic(1, now - 62 * DAY, now, 12_000) + traffic(2, now - 2 * DAY, now, 4_000)
    new = traffic(4, now - 12 * 3600, now, 300)
    credited = traffic(5, now - 62 * DAY, now, 2_000) + charges(6, now - 62 * DAY, now, 2_500)
    hour = now - now % 3600
    cancelling = [
        Event(hour - hours * 3600, CHARGED, channel, "", Decimal(cost))
        for hours, channel, cost in ((5, "sms", "5"), (4, "email", "-5"), (3, "sms", "2.5"), (3, "email", "-2.5"))
    ]
    huge = Event(now - 7200, "sent", "sms", "", Decimal("123456789012.345678"))
    return {
        "busy": busy,
        "growing": traffic(3, now - 4 * DAY, now, 900),
        "small": busy[:2000],
        "new": [*new, huge],
        "quiet": [],
        "credited": credited,
        "refunded": charges(7, now - 62 * DAY, now, 400, ("-0.75", "-999999999999.999999", "-3.5")),
        "cancelling": cancelling,
        "corrected": traffic(8, now - 2 * DAY, now, 900),
    }


@contextmanager
def running_site(directory: Path, made_up: Callable[[int], dict[str, list[Event]]]) -> Iterator[Site]:
    """The API on a fresh engine with these organizations; ``made_up`` makes their events up to a time."""
    with clickhouse_process(directory) as engine:
        connect(f"{engine}/default").command("CREATE DATABASE IF NOT EXISTS browser")
        client = connect(f"{engine}/browser")
        migrate(client, 35, 90)
        now = int(time.time())
        as_of = now - BEHIND_SECONDS
        oracles = {org: Oracle(events, as_of) for org, events in made_up(now).items()}
        for org, oracle in oracles.items():
            set_tier(client, org, TIERS.get(org, Tier.SCALE))
            store_rollups(client, org, oracle.events)
        with Gate(f"{engine}/browser") as gate:
            settings = read_settings({"MSGMETRICS_CLICKHOUSE_URL": gate.url, "MSGMETRICS_API_PORT": "0"})
            with serving(api_server(settings)) as url:
                made = Site(url, client, gate, as_of, oracles)
                made.raise_as_of(as_of)
                yield made
