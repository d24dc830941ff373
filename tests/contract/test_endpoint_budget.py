"""Grouped pages that are made at once share a process's memory, and what is written meanwhile is not lost to them."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from api.app import create_app
from api.endpoint import FULL_PAGES
from api.metrics import REGISTRY
from api.params import Metric
from api.reader import Reader
from api.window import Window
from deploy.cli.accounts import create_key, set_tier
from schemas.tables import RESYNCS
from schemas.tiers import Tier
from tests.support.endpoint import AS_OF, NOW, PATH, CheckedClient, Clock, request, store

HOURS = "metric=sent&granularity=hour&from=2026-05-05T06:00:00Z&to=2026-05-05T10:00:00Z"
BY_CHANNEL = HOURS + "&group_by=channel"
PAGE_CELLS = 2


class HeldReader(Reader):
    """Reads no groups until it is let go on."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.reading, self.go_on = threading.Semaphore(0), threading.Event()

    def values(self, org_id: str, metric: Metric, window: Window, group_by: str | None) -> Any:
        if group_by is not None:
            self.reading.release()
            assert self.go_on.wait(10)
        return super().values(org_id, metric, window, group_by)


class OvertakenReader(Reader):
    """While it counts, a bucket grows from one group to two."""

    def __init__(self, url: str, client: Client) -> None:
        super().__init__(url)
        self._writer = client

    def cells(self, org_id: str, metric: Metric, window: Window, group_by: str) -> Mapping[int, int]:
        counted = super().cells(org_id, metric, window, group_by)
        store(self._writer, "a", "2026-05-05 07:00:00", 5, "0")
        return counted


class OvertakenChangesReader(Reader):
    """While it counts for the first time, three hours change of which there was nothing."""

    def __init__(self, url: str, client: Client) -> None:
        super().__init__(url)
        self._writer, self._hours = client, ["01", "02", "03"]

    def changed_cells(self, *asked: Any) -> Mapping[int, int]:
        counted = super().changed_cells(*asked)
        while self._hours:
            store(self._writer, "a", f"2026-05-05 {self._hours.pop()}:00:00", 1, "0")
        return counted


@pytest.fixture(autouse=True)
def hours(client: Client) -> None:
    """Four hours of two organizations, each with one group."""
    for org in "ab":
        for hour in range(6, 10):
            store(client, org, f"2026-05-05 0{hour}:00:00", 1, "0")
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF}')")


def app(reader: Reader) -> Any:
    return create_app(reader, lambda: int(NOW.timestamp() * 1000), Clock(), page_cells=PAGE_CELLS)


def groups(response: Any) -> list[list[int]]:
    return [[group["value"] for group in bucket["groups"]] for bucket in response.json()["data"]["buckets"]]


def test_a_page_that_does_not_fit_beside_those_being_made_is_refused_before_it_is_read(
    url: str, client: Client, key: str
) -> None:
    set_tier(client, "b", Tier.SCALE)
    other = create_key(client, "b", ("metrics:read",), None, NOW)
    reader = HeldReader(url)

    async def ask(http: httpx2.AsyncClient, query: str, whose: str = key) -> httpx2.Response:
        return await http.get(f"{PATH}?{query}", headers={"Authorization": f"Bearer {whose}"})

    async def ask_all() -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app(reader)), base_url="http://here") as http:
            limits = range(100, 100 + FULL_PAGES)
            asking = [asyncio.create_task(ask(http, f"{BY_CHANNEL}&limit={limit}")) for limit in limits]
            for _ in limits:
                assert await asyncio.to_thread(reader.reading.acquire, timeout=10)
            before = REGISTRY.get_sample_value("msgmetrics_api_rate_limited_total") or 0.0
            refused = await ask(http, BY_CHANNEL, other)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
            assert refused.headers["Retry-After"]
            assert not reader.reading.acquire(blocking=False), "it was refused before it was read"
            assert REGISTRY.get_sample_value("msgmetrics_api_rate_limited_total") == before + 1
            assert (await ask(http, HOURS, other)).status_code == 200, "totals need no room"
            reader.go_on.set()
            assert [groups(answer) for answer in await asyncio.gather(*asking)] == [[[1], [1]]] * FULL_PAGES
            assert groups(await ask(http, BY_CHANNEL, other)) == [[1], [1]]

    asyncio.run(ask_all())


def test_what_grows_between_counting_and_reading_is_read_whole_and_nothing_twice(
    url: str, client: Client, key: str
) -> None:
    with TestClient(app(OvertakenReader(url, client))) as http:
        first = request(http, key, query=BY_CHANNEL)
        then = request(http, key, query="cursor=" + first.headers["X-Next-Cursor"])
    assert groups(first) + groups(then) == [[1], [4, 1], [1], [1]]


def test_what_changes_between_counting_and_reading_makes_no_page_longer(url: str, client: Client, key: str) -> None:
    """Only as many rows are read as were counted, or one."""
    client.command(f"TRUNCATE TABLE {RESYNCS}")
    changed = "from=2026-05-05T01:00:00Z&to=2026-05-05T05:00:00Z&updated_since=2026-05-05T09:00:00Z"
    query = f"metric=sent&granularity=hour&group_by=channel&{changed}"
    pages = []
    with TestClient(app(OvertakenChangesReader(url, client))) as http:
        while query:
            answer = request(http, key, query=query)
            pages.append(groups(answer))
            query = f"cursor={cursor}" if (cursor := answer.headers.get("X-Next-Cursor")) else ""
    assert pages == [[[1]], [[1], [1]]]


def test_a_page_of_another_limit_is_another_page_though_both_are_cached(url: str, key: str) -> None:
    http = CheckedClient(app(Reader(url)))
    for _ in range(2):
        cut, one = (request(http, key, query=f"{BY_CHANNEL}&limit={limit}") for limit in (3, 1))
        assert [len(groups(cut)), len(groups(one))] == [PAGE_CELLS, 1]
        assert (cut.json()["meta"]["limit"], one.json()["meta"]["limit"]) == (3, 1)
        assert cut.headers["ETag"] != one.headers["ETag"]
