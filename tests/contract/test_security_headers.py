"""Headers of every answer, whatever its status, and a policy under which the docs page still runs."""

import base64
import hashlib
import re

import httpx2
import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.reader import Reader
from api.security import HEADERS, with_defaults
from tests.support.endpoint import NOW, PATH, CheckedClient, Clock

ORIGIN = "https://app.example.com"
QUERY = "metric=sent"


@pytest.fixture(params=[(), (ORIGIN,)], ids=["without origins", "with origins"])
def site(request: pytest.FixtureRequest, url: str, clock: Clock) -> TestClient:
    """The API without CORS, and with it."""
    app = create_app(Reader(url), lambda: int(NOW.timestamp() * 1000), clock, request.param)
    return CheckedClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/openapi.json", 200),
        ("GET", "/schemas/message-event.json", 200),
        ("GET", PATH, 401),
        ("GET", PATH + "?" + "x" * 40_000, 414),
        ("GET", "/no/such/page", 404),
        ("DELETE", PATH, 405),
    ],
)
def test_every_answer_forbids_what_data_does_not_need(site: TestClient, method: str, path: str, status: int) -> None:
    response = site.request(method, path)
    assert response.status_code == status
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_numbers_have_them_too_read_or_cached(site: TestClient, key: str, method: str) -> None:
    for _ in range(2):
        response = ask(site, key, method)
        assert response.status_code == 200
        assert {name: response.headers.get(name) for name in HEADERS} == HEADERS


def test_a_cached_answer_has_the_headers_of_a_fresh_one(site: TestClient, key: str) -> None:
    for headers in ({}, {"Origin": ORIGIN}, {"Accept": "text/csv"}, {"If-None-Match": "*"}):
        fresh, cached = (ask(site, key, **headers).headers for _ in range(2))
        assert fresh.pop("X-Request-Id") != cached.pop("X-Request-Id")
        assert fresh.multi_items() == cached.multi_items()


@pytest.mark.parametrize("is_cached", [False, True])
def test_another_method_is_told_which_are_allowed(site: TestClient, key: str, is_cached: bool) -> None:
    if is_cached:
        assert ask(site, key).status_code == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        response = ask(site, key, method)
        assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
        assert response.json()["error"]["request_id"] == response.headers["X-Request-Id"]


def test_a_preflight_is_answered_where_origins_are_configured(url: str, key: str, clock: Clock) -> None:
    app = create_app(Reader(url), lambda: int(NOW.timestamp() * 1000), clock, [ORIGIN])
    site = CheckedClient(app)
    assert ask(site, key).status_code == 200  # and is cached from here on
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    response = site.request("OPTIONS", f"{PATH}?{QUERY}", headers=asked)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    stranger = site.request("OPTIONS", f"{PATH}?{QUERY}", headers=asked | {"Origin": "https://evil.example"})
    assert stranger.status_code == 400


def ask(site: TestClient, key: str, method: str = "GET", **headers: str) -> httpx2.Response:
    """Ask the same question, which is read the first time and cached the second."""
    sent = {"Authorization": f"Bearer {key}", **headers}
    response: httpx2.Response = site.request(method, f"{PATH}?{QUERY}", headers=sent)
    return response


def test_the_docs_page_may_run_its_own_scripts_and_no_other(http: TestClient) -> None:
    response = http.get("/docs")
    policy = dict(part.strip().partition(" ")[::2] for part in response.headers["Content-Security-Policy"].split(";"))
    allowed = policy["script-src"].split()
    scripts = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    assert len(scripts) >= 2
    for script in scripts:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in allowed
    assert len(allowed) == len(scripts)
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"


def test_a_page_may_bring_a_policy_of_its_own() -> None:
    own = (b"content-security-policy", b"default-src 'self'")
    headers = with_defaults([own])
    assert [header for header in headers if header[0] == own[0]] == [own]
    assert (b"x-frame-options", b"DENY") in headers
