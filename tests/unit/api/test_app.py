"""The application without ClickHouse: a cached answer and a fresh one, after the same checks, are the same."""

import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.answer import Rows
from api.app import create_app
from api.errors import Unavailable
from api.known_keys import KeyHashes
from api.params import Metric
from api.reader import Account, Reader
from api.window import Window
from schemas.api_key import key_hash
from tests.support.endpoint import PATH, Clock

KEY, OTHER_KEY = "am_live_" + "k" * 34, "am_live_" + "o" * 34
QUERY = "metric=sent&granularity=hour&from=2026-05-04T00:00:00Z&to=2026-05-05T00:00:00Z"


class Counting(Reader):
    """Answers from memory and counts what is read; can be told to fail."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1/none")
        self.read = 0
        self.fails = False
        self.tier = "scale"

    def key_hashes(self, since_ms: int) -> KeyHashes:
        return KeyHashes(0, b"".join(sorted(bytes.fromhex(key_hash(key)) for key in (KEY, OTHER_KEY))))

    def account(self, hashed: str) -> Account | None:
        known = Account("1", "a", frozenset({"metrics:read"}), False, None, self.tier)
        return known if hashed in (key_hash(KEY), key_hash(OTHER_KEY)) else None

    def as_of_ms(self) -> int:
        return 1_777_975_200_000

    def cursor_secret(self) -> bytes:
        return b"secret"

    def values(self, org_id: str, metric: Metric, window: Window, group_by: str | None) -> Rows:
        self.read += 1
        if self.fails:
            raise Unavailable
        return dict.fromkeys(window.bucket_starts, 5)


def client(reader: Reader, clock: Clock, *origins: str) -> TestClient:
    app = create_app(reader, lambda: time.time_ns() // 1_000_000, clock, origins)
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def reader() -> Counting:
    return Counting()


@pytest.fixture
def http(reader: Counting, clock: Clock) -> TestClient:
    return client(reader, clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ask(http: TestClient, method: str = "GET", query: str = QUERY, **headers: str) -> Any:
    sent = {"Authorization": f"Bearer {KEY}", **{name.replace("_", "-"): v for name, v in headers.items()}}
    return http.request(method, f"{PATH}?{query}", headers=sent)


def test_the_answer_to_a_repeated_request_has_the_same_bytes_and_headers(http: TestClient, reader: Counting) -> None:
    first, again = ask(http), ask(http)
    assert reader.read == 1
    assert again.content == first.content
    differing = {"x-request-id"}
    assert {n: v for n, v in again.headers.items() if n not in differing} == {
        n: v for n, v in first.headers.items() if n not in differing
    }
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]


def test_keys_of_one_organization_share_an_answer_and_each_is_told_its_own_tier(
    http: TestClient, reader: Counting
) -> None:
    for _ in range(2):
        assert ask(http).headers["X-Granularities"] == "day, hour, minute"
    reader.tier = "growth"  # the first key's look-up is remembered for some seconds yet
    for _ in range(2):
        assert ask(http, Authorization=f"Bearer {OTHER_KEY}").headers["X-Granularities"] == "day, hour"
    assert ask(http).headers["X-Granularities"] == "day, hour, minute"
    assert reader.read == 1


def test_browsers_of_another_origin_still_get_their_header(reader: Counting, clock: Clock) -> None:
    http = client(reader, clock, "https://app.example.com")
    plain = ask(http)
    response = ask(http, Origin="https://app.example.com")
    assert response.headers["access-control-allow-origin"] == "https://app.example.com"
    assert ask(http).headers["Vary"] == plain.headers["Vary"]
    assert reader.read == 1


@pytest.mark.parametrize(
    ("method", "query", "headers", "status"),
    [
        ("POST", QUERY, {}, 405),
        ("GET", QUERY, {"Authorization": "Bearer other"}, 401),
        ("GET", QUERY, {"Content_Length": "100000"}, 413),
        ("GET", QUERY + "&metric=failed", {}, 422),
        ("GET", "metric=sent&cursor=x", {}, 422),
    ],
)
def test_what_is_wrong_is_refused_as_if_nothing_were_kept(
    http: TestClient, method: str, query: str, headers: dict[str, str], status: int
) -> None:
    ask(http)
    response = ask(http, method, query, **headers)
    assert response.status_code == status
    assert response.json()["error"]["request_id"] == response.headers["X-Request-Id"]


def test_a_failure_is_never_kept(http: TestClient, reader: Counting) -> None:
    reader.fails = True
    assert ask(http).status_code == 503
    reader.fails = False
    assert ask(http).status_code == 200


def test_a_fault_is_never_hidden_by_what_is_kept(
    http: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(http).status_code == 200
    monkeypatch.setattr("api.endpoint.decide", lambda *_: 1 / 0)
    response = ask(http)
    assert (response.status_code, response.json()["error"]["code"]) == (500, "INTERNAL")
    assert "ZeroDivisionError" in caplog.text
