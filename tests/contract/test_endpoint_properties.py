"""What must hold for any paging, any organization, any cursor and any clock: on a real engine, in generated cases."""

import csv
import io
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from api.app import create_app
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from pipeline.clickhouse.store import Store
from pipeline.core.effects import CloseBuckets, InsertFacts
from pipeline.core.records import Columns
from schemas.connection import connect
from schemas.grain import Grain
from schemas.tiers import Tier
from tests.support.endpoint import AS_OF, NOW, PATH, CheckedClient, request, store
from tests.support.places import P0
from tests.support.recount import exact_json

START = datetime(2026, 5, 4, tzinfo=UTC)
HOURS = 40
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
WINDOW = {"from": START.strftime(FORMAT), "to": (START + timedelta(hours=HOURS)).strftime(FORMAT)}
ORGS = ("a", "b")
quiet = settings(max_examples=40, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def http(module_url: str) -> TestClient:
    return CheckedClient(create_app(Reader(module_url), lambda: int(NOW.timestamp() * 1000), lambda: 0.0))


@pytest.fixture(scope="module")
def keys(module_url: str) -> dict[str, str]:
    """Two organizations whose numbers differ in every hour: even ones for a, odd ones for b."""
    client, pick = connect(module_url), random.Random(5)
    for number, org in enumerate(ORGS):
        for hour in range(HOURS):
            sent = 2 * pick.randrange(1, 10**6) + number
            bucket = (START + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M:%S")
            store(client, org, bucket, sent, f"{sent}.{pick.randrange(10**6):06}")
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF}')")
    for org in ORGS:
        set_tier(client, org, Tier.SCALE)
    return {org: create_key(client, org, ("metrics:read",), None, NOW) for org in ORGS}


def get(http: TestClient, key: str, query: dict[str, Any]) -> Any:
    response = http.get(PATH, params=query, headers={"Authorization": f"Bearer {key}"})
    return exact_json(response.text)


GROUPING: st.SearchStrategy[dict[str, str]] = st.sampled_from([{}, {"group_by": "channel"}, {"group_by": "error_code"}])
COMPARING: st.SearchStrategy[dict[str, str]] = st.sampled_from([{}, {"compare_to": "prior_period"}])


@quiet
@given(limits=st.lists(st.integers(1, HOURS), min_size=1, max_size=12), grouping=GROUPING, comparing=COMPARING)
def test_any_paging_equals_the_whole(
    http: TestClient, keys: dict[str, str], limits: list[int], grouping: dict[str, str], comparing: dict[str, str]
) -> None:
    query = {"metric": "cost_cents", **WINDOW, **grouping, **comparing}
    whole = get(http, keys["a"], query)["data"]
    buckets, prior, step, page = [], [], 0, get(http, keys["a"], query | {"limit": limits[0]})
    while True:
        buckets += page["data"]["buckets"]
        prior += page["data"].get("comparison", {}).get("buckets", [])
        assert {k: v for k, v in page["data"].items() if k not in ("buckets", "comparison")} == {
            k: v for k, v in whole.items() if k not in ("buckets", "comparison")
        }
        if (cursor := page["meta"]["next_cursor"]) is None:
            break
        step += 1
        page = get(http, keys["a"], {"cursor": cursor, "limit": limits[step % len(limits)]})
    assert buckets == whole["buckets"]
    assert prior == whole.get("comparison", {}).get("buckets", [])


@quiet
@given(metric=st.sampled_from(["sent", "cost_cents"]), grouping=GROUPING, comparing=COMPARING, first=st.integers(0, 30))
def test_an_organization_never_sees_anothers_number(
    http: TestClient, keys: dict[str, str], metric: str, grouping: dict[str, str], comparing: dict[str, str], first: int
) -> None:
    window = WINDOW | {"from": (START + timedelta(hours=first)).strftime(FORMAT)}
    seen = {}
    for org in ORGS:
        data = get(http, keys[org], {"metric": metric, **window, **grouping, **comparing})["data"]
        seen[org] = set(_numbers(data["buckets"])) | set(_numbers(data.get("comparison", {}).get("buckets", [])))
    small = {0, 1}  # zero, and the second channel's one message
    assert seen["a"] - small
    assert not (seen["a"] - small) & (seen["b"] - small)


def _numbers(buckets: list[Any]) -> list[Any]:
    values = [bucket["value"] for bucket in buckets if "value" in bucket]
    groups = [group["value"] for bucket in buckets for group in bucket.get("groups") or ()]
    return [value for value in values + groups if value is not None]


@quiet
@given(data=st.data())
def test_any_altered_byte_of_a_cursor_is_invalid_input(http: TestClient, keys: dict[str, str], data: Any) -> None:
    cursor = get(http, keys["a"], {"metric": "sent", **WINDOW, "limit": 1})["meta"]["next_cursor"]
    place = data.draw(st.integers(0, len(cursor) - 1))
    byte = data.draw(st.integers(0, 127).map(chr).filter(lambda c: c != cursor[place]))
    status = http.get(
        PATH,
        params={"cursor": cursor[:place] + byte + cursor[place + 1 :]},
        headers={"Authorization": f"Bearer {keys['a']}"},
    )
    assert (status.status_code, status.json()["error"]["code"]) == (422, "INVALID_INPUT")
    assert list(status.json()["error"]["details"]) == ["cursor"]


@quiet
@given(
    local=st.datetimes(datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2026-12-31")),
    span=st.timedeltas(timedelta(seconds=1), timedelta(days=3)),
    grain=st.sampled_from(Grain),
    zone=st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_buckets_tile_any_window_across_any_change_of_clocks(
    http: TestClient, keys: dict[str, str], local: datetime, span: timedelta, grain: Grain, zone: str
) -> None:
    _check_tiling(http, keys["a"], local.replace(tzinfo=ZoneInfo(zone)), span, grain)


@pytest.mark.parametrize("change", ["2026-03-08T01:30:00", "2026-11-01T01:30:00"])
@pytest.mark.parametrize("grain", Grain)
def test_a_day_of_23_or_25_hours_elsewhere_is_a_day_here(
    http: TestClient, keys: dict[str, str], change: str, grain: Grain
) -> None:
    since = datetime.fromisoformat(change).replace(tzinfo=ZoneInfo("America/New_York"))
    _check_tiling(http, keys["a"], since, timedelta(hours=36), grain)


def _check_tiling(http: TestClient, key: str, since: datetime, span: timedelta, grain: Grain) -> None:
    """Ascending, without holes, the first and last bucket containing what was asked: by the calendar, in UTC."""
    until = since.astimezone(UTC) + span
    query = {"metric": "sent", "granularity": grain.value, "limit": 5000, "from": since.isoformat()}
    data = get(http, key, query | {"to": until.isoformat()})["data"]
    starts = [datetime.strptime(bucket["bucket_start"], FORMAT).replace(tzinfo=UTC) for bucket in data["buckets"]]
    width = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}[grain.value]
    assert starts[0] <= since.astimezone(UTC) < starts[0] + width
    assert starts[-1] < until <= starts[-1] + width
    assert all(later - earlier == width for earlier, later in pairwise(starts))
    midnight = starts[0].replace(hour=0, minute=0, second=0, microsecond=0)
    assert (starts[0] - midnight) % width == timedelta(0)


def test_a_million_costs_come_out_exact_in_every_format(url: str) -> None:
    """Costs that no binary float can hold, summed over a million events and read in JSON, CSV and NDJSON."""
    costs = (100_000, 1, 333_333, 1_000_007, 0, 250_000)  # millionths: 0.1, 0.000001, 0.333333, 1.000007, 0, 0.25
    day = Grain.DAY.floor(int(datetime.now(UTC).timestamp())) - Grain.DAY.seconds
    database, total = Store(url, "cluster", "worker", 60), 0
    for part in range(5):
        columns = Columns()
        for n in range(200_000):
            cost = costs[n % len(costs)]
            total += cost
            for name, value in {
                "org_id": "a", "event_id": f"{part}-{n}", "type": 1, "channel": "sms", "error_code": "",
                "cost_micros": cost, "occurred_ms": (day + n % 3600) * 1000, "record_ms": day * 1000,
                "place": P0, "offset": n,
            }.items():  # fmt: skip
                getattr(columns, name).append(value)
        database.perform(InsertFacts(columns))
    for grain in Grain:
        database.perform(CloseBuckets(grain, day, day + Grain.DAY.seconds, 0))
    client = connect(url)
    now = datetime.fromtimestamp(day, UTC) + timedelta(days=2)
    client.command("INSERT INTO watermark (as_of) VALUES ({at:String})", parameters={"at": f"{now:%F %T}"})
    set_tier(client, "a", Tier.SCALE)
    key = create_key(client, "a", ("metrics:read",), None, now)
    http = CheckedClient(create_app(Reader(url), lambda: int(now.timestamp() * 1000), lambda: 0.0))
    expected = Decimal(total) / 10**6

    start = datetime.fromtimestamp(day, UTC).strftime(FORMAT)
    for granularity in ("day", "hour", "minute"):
        query = f"metric=cost_cents&granularity={granularity}&limit=5000&from={start}"
        as_json = request(http, key, query=query).text
        as_csv = request(http, key, query=query, Accept="text/csv").text
        as_ndjson = request(http, key, query=query, Accept="application/x-ndjson").text
        found = {
            "json": [bucket["value"] for bucket in exact_json(as_json)["data"]["buckets"]],
            "csv": [Decimal(row["value"] or 0) for row in csv.DictReader(io.StringIO(as_csv))],
            "ndjson": [json.loads(line, parse_float=Decimal)["value"] for line in as_ndjson.splitlines()],
        }
        sums = {name: sum((Decimal(value or 0) for value in values), Decimal(0)) for name, values in found.items()}
        assert sums == dict.fromkeys(found, expected)
        assert "e" not in as_csv.split("\n", 1)[1].lower(), "no exponent"
