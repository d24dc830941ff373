"""Keys at the endpoint: faults, revocation, expiry, scopes and tiers."""

from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from api.reader import Reader
from deploy.cli.accounts import create_key, list_keys, revoke_key, set_tier
from schemas.api_key import key_hash
from schemas.tiers import Tier
from tests.support.endpoint import NOW, PATH, Ask, Clock


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", "Basic abc", "Bearer am_live_" + "a" * 34])
def test_every_fault_of_a_key_has_one_answer(http: TestClient, header: str | None) -> None:
    response = http.get(PATH + "?metric=nonsense", headers={"Authorization": header} if header is not None else {})
    assert response.status_code == 401
    assert response.json()["error"] | {"request_id": ""} == {
        "code": "UNAUTHORIZED",
        "message": "authentication failed",
        "request_id": "",
    }
    assert response.headers["WWW-Authenticate"] == "Bearer"


def get(http: TestClient, key: str) -> int:
    return http.get(PATH + "?metric=sent", headers={"Authorization": f"Bearer {key}"}).status_code


def test_a_revoked_key_ends_within_five_seconds(http: TestClient, client: Client, clock: Clock) -> None:
    key = create_key(client, "a", ("metrics:read",), None, NOW)
    assert get(http, key) == 200
    revoke_key(client, list_keys(client)[0].id)
    clock.now += 5
    assert get(http, key) == 401


def test_a_changed_tier_takes_effect_within_five_seconds_also_in_a_pagination(
    ask: Ask, client: Client, clock: Clock
) -> None:
    _, first = ask(metric="sent", granularity="minute", limit=10)
    set_tier(client, "a", Tier.PAYG)
    clock.now += 5
    status, body = ask(cursor=first["meta"]["next_cursor"])
    assert (status, body["error"]["code"]) == (422, "GRANULARITY_NOT_AVAILABLE")
    assert body["error"]["details"] == {"max_granularity": "day"}


def test_a_key_expires(http: TestClient, client: Client) -> None:
    assert get(http, create_key(client, "a", ("metrics:read",), NOW, NOW)) == 401


def test_a_key_expires_by_clickhouses_clock(url: str, client: Client) -> None:
    """Whatever time it is for the API."""
    now = datetime.now(UTC)  # ClickHouse runs on this machine
    for left, least_ms in ((timedelta(hours=1), 3_500_000), (timedelta(hours=-1), -3_700_000)):
        found = Reader(url).account(key_hash(create_key(client, "a", ("metrics:read",), now + left, NOW)))
        assert found is not None
        assert found.valid_ms is not None
        assert least_ms < found.valid_ms <= left / timedelta(milliseconds=1)
    found = Reader(url).account(key_hash(create_key(client, "a", ("metrics:read",), None, NOW)))
    assert found is not None
    assert found.valid_ms is None


def test_a_key_without_the_scope_is_forbidden(http: TestClient, client: Client) -> None:
    key = create_key(client, "a", ("other:thing",), None, NOW)
    response = http.get(PATH, headers={"Authorization": f"Bearer {key}"})
    assert (response.status_code, response.json()["error"]["message"]) == (403, "missing required scope")


def test_an_organization_without_a_tier_reads_days(http: TestClient, client: Client) -> None:
    key = create_key(client, "new", ("metrics:read",), None, NOW)
    answer = http.get(PATH + "?metric=sent", headers={"Authorization": f"Bearer {key}"}).json()
    assert answer["data"]["granularity"] == "day"
