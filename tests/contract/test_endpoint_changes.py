"""``updated_since``: what is listed is decided by rows and resyncs, and followed to the end it is the naive recount."""

import csv
import io
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.app import create_app
from api.negotiate import CSV, JSON, NDJSON
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from schemas.connection import connect
from schemas.endpoint import Endpoint
from schemas.grain import Grain
from schemas.sharding import everywhere, local_name
from schemas.tables import RESYNCS, rollup_table
from schemas.tiers import Tier
from tests.support.endpoint import NOW, CheckedClient, Clock, request
from tests.support.recount import exact_json

AS_OF = datetime(2026, 5, 5, 6, tzinfo=UTC)
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
MARGIN = timedelta(minutes=10)
KNOWN, OPEN = 7, 2
"""Buckets of a window before ``AS_OF``, and behind it."""
STAMPS = [AS_OF + n * timedelta(days=1) for n in range(-2, 6)]
"""When rows were computed: most of them later than as_of, so that of no grain every bucket is listed for its end."""
LATER_MS = int(STAMPS[-1].timestamp() * 1000)
FUTURE = datetime(2099, 1, 1, tzinfo=UTC)
RESYNCED = AS_OF + timedelta(days=2, minutes=3)
COLUMNS = ("channel", "error_code", "sent", "cost_cents")

Rows = dict[Grain, dict[datetime, "Stored"]]


@dataclass
class Stored:
    """What is stored of a bucket: when it was computed, and the sent and the cost of each channel."""

    computed_at: datetime
    sent: dict[str, int] = field(default_factory=dict)
    cost: dict[str, Decimal] = field(default_factory=dict)


def starts(grain: Grain) -> list[datetime]:
    width = timedelta(seconds=grain.seconds)
    first = datetime.fromtimestamp(grain.floor(int(AS_OF.timestamp())), UTC)
    return [first + n * width for n in range(-KNOWN, OPEN)]


def fill(client: Client, cluster: str, org: str, pick: random.Random) -> Rows:
    """Rows of every grain: some buckets have none, some an empty one, some an older one that was computed later."""
    stored: Rows = {grain: {} for grain in Grain}
    for grain in Grain:
        rows = local_name(rollup_table(grain), cluster)
        client.command(f"SYSTEM STOP MERGES{everywhere(cluster)} {rows}")  # which would leave none of the older ones
        for start in starts(grain):
            if pick.random() < 0.25:
                continue
            channels = pick.sample(["email", "mms", "sms"], pick.randrange(4))
            row = Stored(pick.choice(STAMPS))
            row.sent = {channel: pick.randrange(3) for channel in channels}
            row.cost = {channel: Decimal(pick.randrange(-1, 2)) / 8 for channel in channels}
            insert(client, org, grain, start, row, version=2)
            if pick.random() < 0.3:
                insert(client, org, grain, start, Stored(STAMPS[-1], {"late": 9}, {"late": Decimal(9)}), version=1)
            stored[grain][start] = row
    return stored


def insert(client: Client, org: str, grain: Grain, start: datetime, row: Stored, version: int) -> None:
    channels = list(row.sent)
    groups = [channels, [""] * len(channels), list(row.sent.values()), list(row.cost.values())]
    totals = [sum(row.sent.values()), sum(row.cost.values(), Decimal())]
    names = ["sent", "cost_cents", "rank_sum", "computed_at", *(f"groups.{name}" for name in COLUMNS)]
    names += ["groups.delivered", "groups.failed", "groups.charged"]
    values = [org, start, *totals, version, row.computed_at, *groups, *[[0] * len(channels)] * 3]
    client.insert(rollup_table(grain), [values], ["org_id", "bucket", *names])


@pytest.fixture(scope="module", params=["server", "cluster"])
def place(request: pytest.FixtureRequest) -> Endpoint:
    if request.param == "cluster":
        return cast("Endpoint", request.getfixturevalue("module_cluster"))
    return Endpoint(request.getfixturevalue("module_url"))


@pytest.fixture(scope="module")
def stored(place: Endpoint) -> dict[str, Rows]:
    """Of organization "resynced" there was a resync, of "plain" none, as there was none of all."""
    client, pick = connect(place), random.Random(5)
    client.command(f"TRUNCATE TABLE {RESYNCS}")  # the one of the migration
    client.insert(RESYNCS, [["resynced", RESYNCED], ["other", AS_OF]], ["org_id", "at"])
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF:%F %T}')")
    for org in ("plain", "resynced"):
        set_tier(client, org, Tier.SCALE)
    return {org: fill(client, place.cluster, org, pick) for org in ("plain", "resynced")}


@pytest.fixture(scope="module")
def keys(place: Endpoint, stored: dict[str, Rows]) -> dict[str, str]:
    client = connect(place)
    return {org: create_key(client, org, ("metrics:read",), None, NOW) for org in stored}


@pytest.fixture(scope="module")
def reader(place: Endpoint) -> Reader:
    return Reader(place)


def listed(rows: dict[datetime, Stored], grain: Grain, since: datetime, resynced: datetime | None) -> list[datetime]:
    """The buckets that are listed, one by one."""
    found, is_ahead = [], since > datetime.now(UTC) + MARGIN
    for start in starts(grain):
        end = start + timedelta(seconds=grain.seconds)
        is_whole = is_ahead or end > since - MARGIN or (resynced is not None and resynced >= since - MARGIN)
        is_new = start in rows and rows[start].computed_at >= since - MARGIN
        if end <= AS_OF and (is_whole or is_new):
            found.append(start)
    return found


def walk(http: CheckedClient, key: str, question: str, kind: str, limits: list[int]) -> Iterator[Any]:
    """The answers of all pages."""
    query, turns = question, itertools.cycle(limits)
    while True:
        answer = request(http, key, query=f"{query}&limit={next(turns)}", Accept=kind)
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Next-Updated-Since"] == f"{AS_OF:{FORMAT}}"
        yield answer
        if (cursor := answer.headers.get("X-Next-Cursor")) is None:
            return
        query = f"cursor={cursor}"


def buckets_of(answer: Any, kind: str) -> list[dict[str, Any]]:
    """The buckets of a page, from any format in the form of JSON."""
    if kind == JSON:
        return list(exact_json(answer.text)["data"]["buckets"])
    if kind == NDJSON:
        return [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in answer.text.splitlines()]
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    if not lines or "key" not in lines[0]:
        return [
            {
                "bucket_start": line["bucket_start"],
                "value": Decimal(line["value"]),
                "updated_at": line["updated_at"] or None,
            }
            for line in lines
        ]
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        empty: dict[str, Any] = {
            "bucket_start": line["bucket_start"],
            "groups": [],
            "updated_at": line["updated_at"] or None,
        }
        bucket = found.setdefault(line["bucket_start"], empty)
        if line["key"]:
            bucket["groups"].append({"key": line["key"], "value": Decimal(line["value"])})
    return list(found.values())


@settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    org=st.sampled_from(("plain", "resynced")),
    grain=st.sampled_from(Grain),
    metric=st.sampled_from(("sent", "cost_cents")),
    grouped=st.booleans(),
    kind=st.sampled_from((JSON, CSV, NDJSON)),
    most=st.integers(1, 6),
    limits=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    stamp=st.sampled_from((*STAMPS, RESYNCED, AS_OF, AS_OF - timedelta(hours=3), FUTURE)),
    offset=st.sampled_from((timedelta(0), MARGIN, MARGIN + timedelta(seconds=1), timedelta(milliseconds=900), -MARGIN)),
)
def test_pages_followed_to_the_end_are_the_naive_recount_of_what_is_listed(
    reader: Reader, keys: dict[str, str], stored: dict[str, Rows],
    org: str, grain: Grain, metric: str, grouped: bool, kind: str, most: int, limits: list[int],
    stamp: datetime, offset: timedelta,
) -> None:  # fmt: skip
    since = stamp + offset
    rows = stored[org][grain]
    expected = []
    for start in listed(rows, grain, since.replace(microsecond=0), RESYNCED if org == "resynced" else None):
        row = rows.get(start, Stored(AS_OF))
        values = row.sent if metric == "sent" else row.cost
        number = (
            {"groups": [{"key": key, "value": values[key]} for key in sorted(values) if values[key]]}
            if grouped
            else {"value": sum(values.values())}
        )
        updated_at = f"{row.computed_at:{FORMAT}}" if start in rows else None
        expected.append({"bucket_start": f"{start:{FORMAT}}", **number, "updated_at": updated_at})
    window = starts(grain)
    question = (
        f"metric={metric}&granularity={grain}&from={window[0]:{FORMAT}}&to={window[-1]:{FORMAT}}"
        f"&updated_since={since.isoformat().replace('+00:00', 'Z')}" + ("&group_by=channel" if grouped else "")
    )
    with CheckedClient(create_app(reader, lambda: LATER_MS, Clock(), page_cells=most)) as http:
        pages = [buckets_of(answer, kind) for answer in walk(http, keys[org], question, kind, limits)]
    assert [bucket for page in pages for bucket in page] == expected
    for limit, page in zip(itertools.cycle(limits), pages, strict=False):
        assert len(page) <= limit
        cells = [len(bucket["groups"]) for bucket in page] if grouped else [0]
        assert sum(cells) <= most or len(page) == 1


@pytest.mark.parametrize(("fell", "status"), [(MARGIN, 200), (MARGIN + timedelta(seconds=1), 422)])
def test_a_page_that_sees_less_than_the_first_one_promised_is_refused(url: str, fell: timedelta, status: int) -> None:
    """Buckets that an older backup does not know would be missing from a copy that believes to be whole."""
    client = connect(url)
    set_tier(client, "org", Tier.SCALE)
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF:%F %T}')")
    key = create_key(client, "org", ("metrics:read",), None, NOW)
    start = AS_OF - timedelta(hours=3)
    question = f"metric=sent&granularity=hour&from={start:{FORMAT}}&updated_since={start:{FORMAT}}&limit=1"
    with CheckedClient(create_app(Reader(url), lambda: LATER_MS, Clock())) as http:
        cursor = request(http, key, query=question).headers["X-Next-Cursor"]
        client.command("TRUNCATE TABLE watermark")  # what a restore brings back is older
        client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF - fell:%F %T}')")
        answer = request(http, key, query=f"cursor={cursor}")
    assert answer.status_code == status
    if status == 422:
        assert list(answer.json()["error"]["details"]) == ["cursor"]
