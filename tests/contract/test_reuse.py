"""Answers that are given again: from the real store, through the real routes, on a clock that the test moves."""

import asyncio
import itertools
import threading
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from api.answers import REUSE_SECONDS
from api.app import create_app
from api.auth import REMEMBER_SECONDS
from api.metrics import REGISTRY
from api.reader import Reader
from deploy.cli.accounts import create_key, revoke_key, set_tier
from schemas.api_key import key_hash
from schemas.tiers import Tier
from tests.support.endpoint import NOW, PATH, Clock, request, store

HOURS = "metric=sent&granularity=hour&from=2026-05-05T08:00:00Z&to=2026-05-05T12:00:00Z"
STALE_AT_MOST_SECONDS = 2.0

pytestmark = pytest.mark.usefixtures("stored")


def answers(origin: str) -> float:
    return REGISTRY.get_sample_value("msgmetrics_api_answers_total", {"from": origin}) or 0.0


def values(response: Any) -> list[int | None]:
    return [bucket["value"] for bucket in response.json()["data"]["buckets"]]


def test_a_late_correction_shows_within_two_seconds(http: TestClient, key: str, client: Client, clock: Clock) -> None:
    first = request(http, key, query=HOURS)
    store(client, "a", "2026-05-05 09:00:00", 41, "0")
    clock.now += REUSE_SECONDS - 0.01
    before = answers("cache")
    again = request(http, key, query=HOURS)
    assert (again.content, again.headers["ETag"]) == (first.content, first.headers["ETag"])
    assert answers("cache") == before + 1
    clock.now += STALE_AT_MOST_SECONDS - REUSE_SECONDS + 0.01
    assert values(request(http, key, query=HOURS)) == [5, 41, None, None]


def test_another_organization_never_gets_it(http: TestClient, key: str, client: Client) -> None:
    set_tier(client, "b", Tier.SCALE)
    theirs = create_key(client, "b", ("metrics:read",), None, NOW)
    assert values(request(http, key, query=HOURS)) == [5, 0, None, None]
    assert values(request(http, theirs, query=HOURS)) == [1000, 2000, None, None]
    assert values(request(http, key, query=HOURS)) == [5, 0, None, None]


def test_a_revoked_key_is_refused_though_the_answer_is_kept(
    http: TestClient, key: str, client: Client, clock: Clock
) -> None:
    other = create_key(client, "a", ("metrics:read",), None, NOW)
    assert request(http, key, query=HOURS).status_code == 200
    revoke_key(client, key[:12])
    clock.now += REMEMBER_SECONDS
    assert request(http, other, query=HOURS).status_code == 200
    before = answers("cache")
    assert request(http, other, query=HOURS).status_code == 200
    assert answers("cache") == before + 1, "the answer is kept"
    assert request(http, key, query=HOURS).status_code == 401


def test_a_key_without_its_scope_is_refused_though_the_answer_is_kept(
    url: str, key: str, client: Client, clock: Clock
) -> None:
    app = create_app(Reader(url), lambda: int(NOW.timestamp() * 1000), clock)
    limited = create_key(client, "a", ("metrics:read",), None, NOW)
    with TestClient(app) as http:
        assert request(http, limited, query=HOURS).status_code == 200
        client.command(
            "INSERT INTO api_keys (key_hash, id, prefix, org_id, scopes, created_at, expires_at, revoked_at) "
            "SELECT key_hash, id, prefix, org_id, ['other:scope'], created_at, expires_at, revoked_at "
            "FROM api_keys FINAL WHERE key_hash = {hash:String}",
            parameters={"hash": key_hash(limited)},
        )
        clock.now += 3
        assert request(http, key, query=HOURS).status_code == 200
        before = answers("cache")
        assert request(http, key, query=HOURS).status_code == 200
        assert answers("cache") == before + 1, "the answer is kept"
        clock.now += REMEMBER_SECONDS - 3
        assert [request(http, key, query=HOURS).status_code for _ in range(2)] == [200, 200]
        assert request(http, limited, query=HOURS).status_code == 403
        assert answers("cache") == before + 2


def test_what_is_kept_for_one_kind_of_answer_is_not_given_for_another(http: TestClient, key: str) -> None:
    """Whatever the order in which they are asked for, and with a validator of another kind as well."""
    kinds = ("application/json", "text/csv", "application/x-ndjson")
    etags = {kind: request(http, key, query=HOURS, Accept=kind).headers["ETag"] for kind in kinds}
    assert len(set(etags.values())) == len(kinds)
    for method, accept, other in itertools.product(("GET", "HEAD"), kinds, kinds):
        got = request(http, key, method, query=HOURS, Accept=accept, If_None_Match=etags[other])
        assert got.status_code == (304 if other == accept else 200)
        if got.status_code == 200:
            assert got.headers["Content-Type"].split(";")[0] == accept
            assert bool(got.content) == (method == "GET")


def test_a_lower_tier_is_refused_though_the_answer_is_kept_and_granularities_are_the_callers_own(
    http: TestClient, key: str, client: Client, clock: Clock
) -> None:
    days = "metric=sent&granularity=day&from=2026-05-05T00:00:00Z&to=2026-05-06T00:00:00Z"
    other = create_key(client, "a", ("metrics:read",), None, NOW)
    assert request(http, key, query=HOURS).status_code == 200
    clock.now += REMEMBER_SECONDS / 2
    assert request(http, other, query=HOURS).status_code == 200
    set_tier(client, "a", Tier.STARTER)
    clock.now += REMEMBER_SECONDS / 2
    before = answers("cache")
    assert [request(http, other, query=HOURS).status_code for _ in range(2)] == [200, 200]
    assert answers("cache") == before + 1, "the answer is kept"
    assert request(http, key, query=HOURS).status_code == 422
    seen = [request(http, who, query=days).headers["X-Granularities"] for who in (other, key)]
    assert seen == ["day, hour, minute", "day"]


def test_not_modified_comes_from_what_is_kept_too(http: TestClient, key: str) -> None:
    first, before = request(http, key, query=HOURS), answers("store")
    again = request(http, key, query=HOURS, If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert request(http, key, "HEAD", query=HOURS).content == b""
    assert answers("store") == before


def test_kept_answers_come_compressed_or_plain_as_asked(http: TestClient, key: str) -> None:
    query = "metric=sent&granularity=minute&from=2026-05-05T08:00:00Z&to=2026-05-05T10:00:00Z"
    for _ in range(2):
        packed = request(http, key, query=query, Accept_Encoding="gzip")
        plain = request(http, key, query=query, Accept_Encoding="identity")
        assert (packed.headers.get("Content-Encoding"), plain.headers.get("Content-Encoding")) == ("gzip", None)
        assert packed.json() == plain.json()
        assert int(packed.headers["Content-Length"]) < len(plain.content)
        assert packed.headers["Vary"] == plain.headers["Vary"] == "Authorization, Accept, Accept-Encoding"


def test_sixteen_who_ask_the_same_at_once_cost_one_query(
    url: str, key: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, queries, all_asked = Reader(url), [], threading.Event()
    read = reader.values

    def counted(*words: Any) -> Any:
        queries.append(words)
        assert all_asked.wait(10)
        return read(*words)

    monkeypatch.setattr(reader, "values", counted)
    app = create_app(reader, lambda: int(NOW.timestamp() * 1000), clock)

    async def ask_all() -> Sequence[httpx2.Response]:
        transport, headers = httpx2.ASGITransport(app), {"Authorization": f"Bearer {key}"}
        shared_before = answers("shared")
        async with httpx2.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
            asking = [asyncio.create_task(client.get(f"{PATH}?{HOURS}")) for _ in range(16)]
            for _ in range(2000):
                if answers("shared") == shared_before + 15:
                    break
                await asyncio.sleep(0.005)
            all_asked.set()
            return await asyncio.gather(*asking)

    got = asyncio.run(ask_all())
    assert [response.status_code for response in got] == [200] * 16
    assert len(queries) == 1
    assert len({response.content for response in got}) == 1
    assert len({response.headers["X-Request-Id"] for response in got}) == 16
