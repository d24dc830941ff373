"""What the API counts, asked for through its real routes."""

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.metrics import REGISTRY
from api.params import ENDPOINT
from api.reader import Reader
from tests.support.endpoint import NOW, CheckedClient, Clock, request


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"msgmetrics_api_{name}", labels) or 0.0


@pytest.mark.usefixtures("stored")
def test_requests_are_counted_by_status_and_route_and_keys_by_who_knew_them(
    http: TestClient, key: str, clock: Clock
) -> None:
    names = [
        ("requests_total", {"status": "200", "route": ENDPOINT}),
        ("requests_total", {"status": "422", "route": ENDPOINT}),
        ("requests_total", {"status": "404", "route": "other"}),
        ("request_seconds_count", {"route": ENDPOINT}),
        ("key_lookups_total", {"from": "store"}),
        ("key_lookups_total", {"from": "cache"}),
    ]
    before = [sample(name, **labels) for name, labels in names]
    assert request(http, key).status_code == 200
    assert request(http, key).status_code == 200
    assert request(http, key, query="metric=nothing").status_code == 422
    assert http.get("/made/up").status_code == 404
    clock.now += 5  # the key is looked up again
    assert request(http, key).status_code == 200
    grown = [sample(name, **labels) - old for (name, labels), old in zip(names, before, strict=True)]
    assert grown == [3, 1, 1, 4, 2, 2]
    assert sample("queries_in_flight") == 0


def test_what_is_refused_for_asking_too_much_at_once_is_counted(
    url: str, key: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.endpoint.QUERIES_AN_ORGANIZATION", 0)
    http = CheckedClient(create_app(Reader(url), lambda: int(NOW.timestamp() * 1000), clock))
    before = sample("rate_limited_total")
    assert request(http, key).status_code == 429
    assert sample("rate_limited_total") == before + 1
