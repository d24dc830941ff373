"""X-Granularities: what a plan may ask for is said with every answer, so that nobody need try and be refused."""

import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from deploy.cli.accounts import create_key, set_tier
from schemas.api_key import READ_SCOPE
from schemas.tiers import Tier
from tests.support.endpoint import NOW, request

ALLOWED = {
    Tier.PAYG: "day",
    Tier.STARTER: "day",
    Tier.GROWTH: "day, hour",
    Tier.SCALE: "day, hour, minute",
    Tier.CUSTOM: "day, hour, minute",
}


@pytest.mark.parametrize("tier", Tier)
def test_every_answer_says_what_the_plan_may_ask_for(http: TestClient, client: Client, tier: Tier) -> None:
    set_tier(client, "a", tier)
    key = create_key(client, "a", (READ_SCOPE,), None, NOW)
    plain = request(http, key)
    table = request(http, key, accept="text/csv")
    unchanged = request(http, key, if_none_match=plain.headers["ETag"])
    assert [plain.status_code, table.status_code, unchanged.status_code] == [200, 200, 304]
    assert {answer.headers["X-Granularities"] for answer in (plain, table, unchanged)} == {ALLOWED[tier]}
    for granularity in ("minute", "hour", "day"):
        answer = request(http, key, query=f"metric=sent&granularity={granularity}")
        assert (answer.status_code == 200) == (granularity in ALLOWED[tier].split(", "))
