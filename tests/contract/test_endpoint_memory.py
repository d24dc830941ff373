"""The memory of an API process whose clients ask for as much as they may."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from clickhouse_connect.driver.client import Client

from api.negotiate import CSV, JSON, NDJSON
from schemas.message_event import MAX_ERROR_CODE_CHARACTERS
from tests.support.endpoint import NOW, PATH
from tests.support.kafka_broker import free_port
from tests.support.system import Process, clean_environment, wait_until
from tests.support.usage import peak_mib

MINUTES, CODES = 500, 1000
MOST_MIB = 350
START = datetime(2026, 4, 20, tzinfo=UTC)
LARGEST = (
    "metric=cost_cents&granularity=minute&group_by=error_code&compare_to=prior_period"
    "&from=2026-04-20T00:00:00Z&to=2026-04-26T22:40:00Z"
)
"""10,000 minutes, and those before them."""


@pytest.fixture
def api(url: str, tmp_path: Path) -> Iterator[tuple[Process, str]]:
    """An API process, and the endpoint's address."""
    port = free_port()
    settings = {"CLICKHOUSE_URL": url, "API_PORT": str(port), "ADMIN_PORT": str(free_port())}
    environment = clean_environment() | {f"MSGMETRICS_{name}": value for name, value in settings.items()}
    process, address = Process("api", ("-m", "deploy.cli", "api"), environment, tmp_path), f"http://127.0.0.1:{port}"
    wait_until("the API", lambda: is_up(address), 20)
    yield process, address + PATH
    process.end()


def is_up(address: str) -> bool:
    try:
        return httpx2.get(address + PATH).status_code == 401
    except httpx2.TransportError:
        return False


def fill(client: Client) -> None:
    """Minutes from START on, and of the period before; each has a thousand error codes as long as they may be."""
    client.command(
        "INSERT INTO rollup_minute (org_id, bucket, failed, cost_cents, facts, groups.channel, groups.error_code, "
        "groups.sent, groups.delivered, groups.failed, groups.cost_cents, rank_sum, generation) "
        "WITH range({codes:UInt32}) AS codes SELECT 'a', "
        "toDateTime({start:UInt32} + if(number < {minutes:UInt32}, number, number - {minutes:UInt32} - 10000) * 60), "
        "length(codes), 0, length(codes), arrayMap(code -> 'sms', codes), "
        "arrayMap(code -> leftPad(toString(code), {length:UInt32}, 'x'), codes), arrayMap(code -> 0, codes), "
        "arrayMap(code -> 0, codes), arrayMap(code -> 1, codes), arrayMap(code -> code + toDecimal128('0.000001', 6), "
        "codes), 1, 0 FROM numbers(2 * {minutes:UInt32}) SETTINGS max_block_size = 500",
        parameters={
            "codes": CODES,
            "minutes": MINUTES,
            "start": int(START.timestamp()),
            "length": MAX_ERROR_CODE_CHARACTERS,
        },
    )
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{NOW:%F %T}')")


def ask(url: str, key: str, kind: str, limit: int, given: list[httpx2.Response]) -> None:
    """Ask as a client should: again after a moment where too much is under way."""
    headers = {"Authorization": f"Bearer {key}", "Accept": kind, "Accept-Encoding": "identity"}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        response = httpx2.get(f"{url}?{LARGEST}&limit={limit}", headers=headers, timeout=30)
        if response.status_code == 200:
            given.append(response)
            return
        assert response.status_code in (429, 503), response.text
        time.sleep(int(response.headers["Retry-After"]))


def test_six_of_the_largest_questions_at_once_are_answered_in_bounded_memory(
    api: tuple[Process, str], client: Client, key: str
) -> None:
    process, url = api
    fill(client)
    given: list[httpx2.Response] = []
    asking = [
        threading.Thread(target=ask, args=(url, key, kind, limit, given))
        for kind in (JSON, CSV, NDJSON)
        for limit in (4999, 5000)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(given) == len(asking)
    assert all("X-Next-Cursor" in response.headers for response in given)
    assert peak_mib(process.pid) < MOST_MIB
