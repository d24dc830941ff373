"""The dashboard's files as they are served."""

import re
from collections.abc import Iterator
from importlib.resources import files

import pytest
from starlette.testclient import TestClient

from api import pages
from api.app import create_app
from api.pages import POLICY, plotly_name
from api.reader import Reader


@pytest.fixture
def http() -> Iterator[TestClient]:
    with TestClient(create_app(Reader("http://127.0.0.1:1/none"), lambda: 0, lambda: 0.0)) as client:
        yield client


def names() -> list[str]:
    own = [file.name for file in (files("api") / "dashboard").iterdir() if file.name.endswith((".css", ".js", ".svg"))]
    return [*own, plotly_name()]


def test_the_policy_allows_this_server_and_nothing_else() -> None:
    directives = dict(directive.split(" ", 1) for directive in POLICY.split("; "))
    assert directives.pop("default-src") == "'none'"
    assert directives["frame-ancestors"] == "'none'"
    assert set(directives.values()) == {"'self'", "'none'"}


@pytest.mark.parametrize("path", ["/", "/assets/main.js", f"/assets/{plotly_name()}"])
def test_every_file_goes_out_with_the_policy_and_is_not_sent_twice(http: TestClient, path: str) -> None:
    first = http.get(path)
    assert first.status_code == 200
    assert first.headers["content-security-policy"] == POLICY
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["referrer-policy"] == "no-referrer"
    assert first.headers["content-encoding"] == "gzip"
    again = http.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == POLICY


def test_a_client_that_cannot_unpack_gets_plain_bytes(http: TestClient) -> None:
    plain = http.get("/assets/main.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == (files("api") / "dashboard" / "main.js").read_bytes()


def addresses(http: TestClient) -> list[str]:
    """What the page itself loads."""
    return re.findall(r'(?:href|src)="(/assets/[^"]+)"', http.get("/").text)


def test_a_second_visit_asks_for_the_page_alone(http: TestClient) -> None:
    assert http.get("/").headers["cache-control"] == "no-cache"
    kept = [http.get(address).headers["cache-control"] for address in addresses(http)]
    assert len(kept) > 20
    assert all("immutable" in one for one in kept)


def test_the_address_of_all_files_changes_with_any_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(pages._own_files())
    names = set()
    for changed in (found, found | {"main.js": b""}, found | {"icon.svg": b""}, found | {"new.css": b""}):
        monkeypatch.setattr(pages, "_own_files", lambda changed=changed: changed)
        names.add(pages.own_version.__wrapped__())
    assert len(names) == 4


@pytest.mark.parametrize("address", ["/assets/main.js", "/assets/0123456789abcdef/main.js"])
def test_an_address_of_another_release_is_answered_and_not_for_ever(http: TestClient, address: str) -> None:
    answer = http.get(address)
    assert answer.content == (files("api") / "dashboard" / "main.js").read_bytes()
    assert answer.headers["cache-control"] == "no-cache"


def test_every_module_is_named_by_the_page_so_that_none_waits_for_another(http: TestClient) -> None:
    preloaded = re.findall(r'<link rel="modulepreload" href="([^"]+)">', http.get("/").text)
    modules = sorted(name for name in names() if name.endswith(".js") and name != plotly_name())
    assert [address.rpartition("/")[2] for address in preloaded] == modules
    assert set(preloaded) < set(addresses(http))


def test_only_the_dashboards_files_are_served(http: TestClient) -> None:
    for path in ("/assets/nothing.js", "/assets/index.html", "/assets/__init__.py", "/assets/%2e%2e%2fapp.py"):
        assert http.get(path).status_code == 404


def test_whatever_the_page_and_its_scripts_name_exists(http: TestClient) -> None:
    page = http.get("/").text
    texts = [page, *(http.get(f"/assets/{name}").text for name in names() if name != plotly_name())]
    named = {name for text in texts for name in re.findall(r'"(?:\./|/assets/(?:\w{16}/)?)([\w.-]+)"', text)}
    assert named <= set(names())
    assert {name for name in names() if name.endswith((".js", ".css"))} <= named  # and nothing is left over
    assert not re.search(r"https?://(?!www\.w3\.org)", "".join(texts))


def test_the_page_has_nothing_that_the_policy_refuses(http: TestClient) -> None:
    page = http.get("/").text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)


def test_style_sheets_that_plotly_would_write_have_a_stand_in(http: TestClient) -> None:
    script = http.get(f"/assets/{plotly_name()}").text
    ids = set(re.findall(r'getElementById\("([0-9a-f]{64})"\)', script))
    assert ids == set(re.findall(r'<template id="([0-9a-f]{64})">', http.get("/").text))
