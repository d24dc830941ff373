"""The API as the process that serves it: bytes that clients should not send, and a ClickHouse that comes and goes."""

import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx2
import pytest

from deploy.cli.accounts import create_key, set_tier
from deploy.migrations.apply import migrate
from schemas.connection import connect
from schemas.tiers import Tier
from tests.support.endpoint import PATH
from tests.support.kafka_broker import free_port
from tests.support.system import Process, clean_environment, wait_until

UNREACHABLE_SECONDS = 3.0
OTHER_LIMITS = count(100)
"""Each makes another question of one, which has to be read: what was asked just now is given as it was."""


@dataclass
class Served:
    """A running API, its ClickHouse, and a key per organization."""

    port: int
    api: Process
    clickhouse: Process
    clickhouse_words: tuple[str, ...]
    keys: dict[str, str]
    directory: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}?metric=sent"

    def headers(self, org: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[org]}"}

    def get(self, org: str = "a", query: str = "metric=sent") -> httpx2.Response:
        url = f"http://127.0.0.1:{self.port}{PATH}?{query}"
        return httpx2.get(url, headers=self.headers(org), timeout=10)

    def raw(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send bytes as they are; answers (status, headers in small letters, body)."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, body

    def ask(self, line: bytes, *headers: bytes, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """A request line with the key of organization a."""
        key = b"Authorization: Bearer " + self.keys["a"].encode()
        return self.raw(b"\r\n".join([line, b"Host: x", b"Connection: close", key, *headers, b"", b""]) + body)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("served")
    clickhouse_port, port = free_port(), free_port()
    words = ("-m", "deploy.engines.chdb_http", "--path", str(directory / "data"), "--port", str(clickhouse_port))
    environment = clean_environment() | {
        "MSGMETRICS_CLICKHOUSE_URL": f"http://127.0.0.1:{clickhouse_port}/default",
        "MSGMETRICS_API_PORT": str(port),
        "MSGMETRICS_ADMIN_PORT": str(free_port()),
    }
    clickhouse = Process("clickhouse", words, environment, directory)
    clickhouse.first_line()
    client = connect(environment["MSGMETRICS_CLICKHOUSE_URL"])
    migrate(client, 35, 90)
    keys = {}
    for org in ("a", "b", "asks-too-much", "asks-little"):
        set_tier(client, org, Tier.SCALE)
        keys[org] = create_key(client, org, ("metrics:read",), None, datetime.now(UTC))
    api = Process("api", ("-m", "deploy.cli", "api"), environment, directory)
    served = Served(port, api, clickhouse, words, keys, directory)
    wait_until("the API", lambda: _status(served) == 200, 20)
    yield served
    api.end()
    served.clickhouse.end(signal.SIGKILL)


def _status(served: Served, org: str = "a") -> int | None:
    try:
        return served.get(org).status_code
    except httpx2.TransportError:
        return None


GET = b"GET " + PATH.encode()


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (GET + b"?metric=sent&from=" + b"9" * 30_000 + b" HTTP/1.1", (), 422),
        (GET + b"?" + b"x=1&" * 8_000 + b" HTTP/1.1", (), 422),
        (GET + b"?metric=sent%00 HTTP/1.1", (), 422),
        (GET + b"?metric=%C3%A9 HTTP/1.1", (), 422),
        (GET + b"?metric=sent&limit=%D9%A1 HTTP/1.1", (), 422),
        (GET + b"?metric=sent&from=0001-01-01T00:00:00%2B14:00 HTTP/1.1", (), 422),
        (GET + b"?metric=sent&to=9999-12-31T23:59:59-14:00 HTTP/1.1", (), 422),
        (GET + b"?metric=sent&from=2026-05-05T00:00:00+02:00 HTTP/1.1", (), 422),
        (GET + b"? HTTP/1.1", (), 422),
        (GET + b"?" + b"x" * 40_000 + b" HTTP/1.1", (), 414),
        (GET + b"?metric=sent HTTP/1.1", (b"Content-Length: 20000",), 413),
        (GET + b"/?metric=sent HTTP/1.1", (), 404),
        (b"GET /%2e%2e/etc/passwd HTTP/1.1", (), 404),
        (b"DELETE " + PATH.encode() + b" HTTP/1.1", (), 405),
        (GET + b"?metric=\xc3\xa9 HTTP/1.1", (), 400),
        (b"FOO / HTTP/1.1", (), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", (), 400),
        (GET + b"?metric=sent HTTP/1.1", (b"Content-Length: abc",), 400),
    ],
)
def test_whatever_bytes_arrive_the_answer_is_a_4xx_in_the_envelope(
    served: Served, line: bytes, headers: tuple[bytes, ...], status: int
) -> None:
    answered, found, body = served.ask(line, *headers)
    error = json.loads(body)["error"]
    assert answered == status
    assert error["request_id"] == found["x-request-id"].upper()
    assert found["cache-control"] == "no-store"
    assert error["message"]
    if status == 422:
        assert error["details"]


def test_100_kb_of_query_string_are_a_4xx(served: Served) -> None:
    assert 400 <= served.ask(GET + b"?" + b"x" * 100_000 + b" HTTP/1.1")[0] < 500


def test_http_1_0_head_and_a_chunked_body_are_answered(served: Served) -> None:
    assert served.ask(GET + b"?metric=sent HTTP/1.0")[0] == 200
    status, headers, body = served.ask(b"HEAD" + GET[3:] + b"?metric=sent HTTP/1.1")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 100
    chunked = served.ask(GET + b"?metric=sent HTTP/1.1", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")
    assert chunked[0] == 200


def test_a_key_in_a_trailer_authenticates_nobody(served: Served) -> None:
    lines = [GET + b"?metric=sent HTTP/1.1", b"Host: x", b"Connection: close", b"Transfer-Encoding: chunked", b"", b"0"]
    key = b"Authorization: Bearer " + served.keys["a"].encode()
    assert served.raw(b"\r\n".join([*lines, key, b"", b""]))[0] == 401
    assert served.ask(lines[0])[0] == 200, "as a header it would"


def test_without_an_answer_from_clickhouse_it_is_a_503_within_three_seconds_until_there_is_one_again(
    served: Served,
) -> None:
    served.clickhouse.send(signal.SIGSTOP)  # hung: connections are accepted and nothing is answered
    _check_unavailable(served)
    served.clickhouse.send(signal.SIGCONT)
    wait_until("recovery after the hang", lambda: _status(served) == 200, 10)

    served.clickhouse.end(signal.SIGKILL)  # gone: connections are refused
    _check_unavailable(served)
    served.clickhouse = Process("clickhouse", served.clickhouse_words, clean_environment(), served.directory)
    served.clickhouse.first_line()
    wait_until("recovery after the restart", lambda: _status(served) == 200, 10)


def _check_unavailable(served: Served) -> None:
    began = time.monotonic()
    response = served.get(query=f"metric=sent&limit={next(OTHER_LIMITS)}")
    assert time.monotonic() - began < UNREACHABLE_SECONDS
    assert (response.status_code, response.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert int(response.headers["Retry-After"]) > 0
    assert "127.0.0.1" not in response.text


def test_one_organization_cannot_take_all_query_slots(served: Served) -> None:
    with httpx2.Client(timeout=10) as client, ThreadPoolExecutor(40) as pool:

        def ask(org: str) -> httpx2.Response:
            url = f"{served.url}&limit={next(OTHER_LIMITS)}"
            return client.get(url, headers=served.headers(org))

        for org in ("asks-too-much", "asks-little"):  # nobody asked for them before: their keys are known from now on,
            assert ask(org).status_code == 200  # for as long as keys are remembered, so that only queries wait
        served.clickhouse.send(signal.SIGSTOP)
        try:
            ours = list(pool.map(ask, ["asks-too-much"] * 24))
            theirs = list(pool.map(ask, ["asks-little"] * 4))
        finally:
            served.clickhouse.send(signal.SIGCONT)
    counts = Counter(response.status_code for response in ours)
    assert counts[429] >= 8, counts
    assert set(counts) == {429, 503}
    refused = next(response for response in ours if response.status_code == 429)
    assert refused.json()["error"]["code"] == "RATE_LIMITED"
    assert int(refused.headers["Retry-After"]) > 0
    assert {response.status_code for response in theirs} == {503}
    wait_until("recovery", lambda: _status(served) == 200, 10)


def test_every_request_is_one_line_of_json_without_the_key(served: Served) -> None:
    response = served.get(query="metric=sent&granularity=hour")
    wanted = response.headers["X-Request-Id"]
    line = wait_until("the line", lambda: _line(served, wanted), 5)
    assert line["org_id"] == "a"
    assert line["key_prefix"] == served.keys["a"][:12]
    assert (line["status"], line["route"], line["buckets"]) == (200, PATH, 25)
    assert line["ms"] > 0
    assert "as_of_lag_ms" in line
    assert served.keys["a"] not in served.api.log.read_text()


def test_a_path_that_somebody_made_up_fills_no_log_and_a_key_in_it_is_cut(served: Served) -> None:
    url = f"http://127.0.0.1:{served.port}/v1/{served.keys['a']}/" + "x" * 20_000
    wanted = httpx2.get(url, timeout=10).headers["X-Request-Id"]
    line = wait_until("the line", lambda: _line(served, wanted), 5)
    assert line["route"] == f"/v1/{served.keys['a'][:12]}…/" + "x" * (256 - len(f"/v1/{served.keys['a']}/"))
    assert served.keys["a"] not in served.api.log.read_text()


def _line(served: Served, request_id: str) -> dict[str, object] | None:
    lines = [line for line in served.api.log.read_text().splitlines() if request_id in line]
    return json.loads(lines[0]) if lines else None
