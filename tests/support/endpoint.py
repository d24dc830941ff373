"""What tests of the endpoint share: its clocks, rollup rows written by hand, and how to ask."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import jsonschema
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from api.openapi import openapi

NOW = datetime(2026, 5, 5, 12, 0, 0, 500_000, UTC)
AS_OF = "2026-05-05 10:30:00.900"
PATH = "/v1/metrics/messages"
DAY = {"from": "2026-05-05T08:00:00Z", "to": "2026-05-05T12:00:00Z"}

Ask = Callable[..., Any]


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@cache
def validator(status: int) -> jsonschema.protocols.Validator:
    """What the published description says of the JSON answers with this status."""
    name, components = "Metrics" if status == 200 else "Error", openapi()["components"]
    schema = {"$ref": f"#/components/schemas/{name}", "components": components}
    return jsonschema.Draft202012Validator(schema)


class CheckedClient(TestClient):
    """Asks the app in its own process, and holds every answer of the endpoint against the published description."""

    def request(self, method: str, url: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().request(method, url, *args, **kwargs)
        operation = openapi()["paths"][PATH]["get"]
        if response.url.path == PATH and method == "GET":
            assert str(response.status_code) in operation["responses"], response.status_code
            if response.headers.get("content-type") == "application/json":
                validator(response.status_code).validate(response.json())
        return response


def store(client: Client, org: str, bucket: str, sent: int, cost: str, grain: str = "hour") -> None:
    """A rollup row with two channels, one of which has an error code."""
    client.command(
        f"INSERT INTO rollup_{grain} (org_id, bucket, sent, failed, cost_cents, facts, groups.channel, "
        "groups.error_code, groups.sent, groups.delivered, groups.failed, groups.cost_cents, rank_sum, generation) "
        "SELECT {org:String}, toDateTime({bucket:String}, 'UTC'), {sent:UInt64}, 2, toDecimal128({cost:String}, 6), "
        "{sent:UInt64} + 2, ['email', 'sms', 'sms'], ['', '', 'E1'], [{sent:UInt64} - 1, 1, 0], [0, 0, 0], [0, 0, 2], "
        "[toDecimal128({cost:String}, 6), toDecimal128('0', 6), toDecimal128('0', 6)], 1, 0",
        parameters={"org": org, "bucket": bucket, "sent": sent, "cost": cost},
    )


def request(http: TestClient, key: str, method: str = "GET", query: str = "metric=sent", **headers: str) -> Any:
    """Ask with a key; header names are written with _ for -."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.request(method, f"{PATH}?{query}", headers={"Authorization": f"Bearer {key}", **names})
