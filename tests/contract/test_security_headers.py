"""Headers of every answer, whatever its status, and a policy under which the docs page still runs."""

import base64
import hashlib
import re

import pytest
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient

from api.security import HEADERS, NOTHING, SecurityHeaders
from tests.support.endpoint import PATH


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
def test_every_answer_forbids_what_data_does_not_need(http: TestClient, method: str, path: str, status: int) -> None:
    response = http.request(method, path)
    assert response.status_code == status
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS


def test_a_numbers_answer_has_them_too(http: TestClient, key: str) -> None:
    response = http.get(PATH, params={"metric": "sent"}, headers={"Authorization": f"Bearer {key}"})
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == NOTHING
    assert response.headers["X-Content-Type-Options"] == "nosniff"


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
    page = HTMLResponse("x", headers={"content-security-policy": "default-src 'self'"})
    response = TestClient(SecurityHeaders(page)).get("/")
    assert response.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert response.headers["x-frame-options"] == "DENY"
