"""Grouped pages end before their groups are too many: followed to the end, they are what is stored."""

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from api.app import create_app
from api.negotiate import CSV, JSON, NDJSON
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from schemas.connection import connect
from schemas.grain import Grain
from schemas.tables import rollup_table
from schemas.tiers import Tier
from tests.support.endpoint import NOW, Clock, request
from tests.support.recount import exact_json

AS_OF = datetime(2026, 5, 5, tzinfo=UTC)
KNOWN, OPEN = 7, 2
"""Buckets of a window before ``AS_OF`` and after it."""
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
METRICS = ("sent", "delivered", "failed", "cost_cents")
COLUMNS = ("channel", "error_code", *METRICS)

Pair = dict[str, Any]
Stored = dict[Grain, dict[datetime, list[Pair]]]
Side = tuple[dict[str, Any], dict[str, Any] | None]
"""A bucket as an answer has it, and the one that it is compared to."""


def width(grain: Grain) -> timedelta:
    return timedelta(seconds=grain.seconds)


def pairs(pick: random.Random) -> list[Pair]:
    """Up to a dozen pairs of channel and error code, with many zeros, and credits that cancel costs out."""
    names = [(channel, code) for channel in ("email", "mms", "sms") for code in ("", "E1", "E2", "E3")]
    some = pick.sample(names, pick.choice((1, 2, 4, 12)))
    values = [[*(pick.randrange(3) for _ in METRICS[:3]), Decimal(pick.randrange(-1, 2)) / 8] for _ in some]
    return [dict(zip(COLUMNS, (*name, *counts), strict=True)) for name, counts in zip(some, values, strict=True)]


def fill(client: Client, org: str, pick: random.Random) -> Stored:
    """Rows of every grain, in the window as well as in the period before; some are missing."""
    stored: Stored = {}
    for grain in Grain:
        places = range(-2 * KNOWN - OPEN, OPEN)
        stored[grain] = {AS_OF + n * width(grain): pairs(pick) for n in places if pick.random() < 0.8}
        rows = [[org, at, *([p[c] for p in found] for c in COLUMNS)] for at, found in stored[grain].items()]
        client.insert(rollup_table(grain), rows, ["org_id", "bucket", *(f"groups.{name}" for name in COLUMNS)])
    return stored


@pytest.fixture(scope="module")
def stored(module_url: str) -> Stored:
    """What organization a has; there is another one."""
    client, pick = connect(module_url), random.Random(8)
    fill(client, "b", pick)
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF:%F %T}')")
    return fill(client, "a", pick)


@pytest.fixture(scope="module")
def key(module_url: str) -> str:
    client = connect(module_url)
    set_tier(client, "a", Tier.SCALE)
    return create_key(client, "a", ("metrics:read",), None, NOW)


@pytest.fixture(scope="module")
def reader(module_url: str) -> Reader:
    return Reader(module_url)


def app(reader: Reader, page_cells: int) -> ASGIApp:
    """On clocks that stand still: what is asked for again is cached."""
    return create_app(reader, lambda: int(NOW.timestamp() * 1000), Clock(), page_cells=page_cells)


def groups(found: list[Pair], group_by: str, metric: str) -> list[dict[str, Any]]:
    """The groups of a bucket as an answer has them, counted one by one."""
    sums: Counter[str] = Counter()
    for pair in found:
        sums[pair[group_by]] += pair[metric]
    ordered = sorted((key for key in sums if sums[key]), key=lambda key: (not key, key))
    return [{"key": key or None, "value": sums[key]} for key in ordered]


def counted(found: list[Pair], group_by: str, metric: str) -> int:
    """How many cells a page's length is found by: groups that have any of it, also where it adds up to 0."""
    return len({pair[group_by] for pair in found if pair[metric]})


def window(grain: Grain) -> list[datetime]:
    return [AS_OF + n * width(grain) for n in range(-KNOWN, OPEN)]


def earlier(at: datetime, grain: Grain) -> datetime:
    """The bucket that one is compared to."""
    return at - (KNOWN + OPEN) * width(grain)


@settings(max_examples=15, database=None, suppress_health_check=list(HealthCheck))
@given(
    grain=st.sampled_from(Grain),
    group_by=st.sampled_from(("channel", "error_code")),
    metric=st.sampled_from(METRICS),
    compared=st.booleans(),
    kind=st.sampled_from((JSON, NDJSON)),
    most=st.integers(1, 12),
    limits=st.lists(st.integers(1, KNOWN + OPEN), min_size=1, max_size=4),
)
def test_pages_followed_to_the_end_are_the_naive_recount_and_as_long_as_they_may_be(
    reader: Reader, key: str, stored: Stored,
    grain: Grain, group_by: str, metric: str, compared: bool, kind: str, most: int, limits: list[int],
) -> None:  # fmt: skip
    def of(at: datetime) -> list[dict[str, Any]]:
        return groups(stored[grain].get(at, []), group_by, metric)

    def cells(at: datetime) -> int:
        sides = [at, earlier(at, grain)] if compared else [at]
        return sum(counted(stored[grain].get(side, []), group_by, metric) for side in sides)

    starts, seen = window(grain), list[Side]()
    question = asked(grain, group_by=group_by, metric=metric) + ("&compare_to=prior_period" if compared else "")
    for limit, body in zip(itertools.cycle(limits), walk(app(reader, most), key, question, kind, limits), strict=False):
        page = parsed(body, kind)
        held = [cells(at) for at in starts[len(seen) : len(seen) + len(page)]]
        following = starts[len(seen) + len(page) :]
        assert 1 <= len(page) <= min(limit, len(starts) - len(seen))
        assert sum(held) <= most or len(page) == 1
        assert len(page) == limit or not following or sum(held) + cells(following[0]) > most
        seen += page
    expected = []
    for at in starts:
        bucket = {"bucket_start": f"{at:{FORMAT}}", "groups": of(at) if at < AS_OF else None}
        prior = {"bucket_start": f"{earlier(at, grain):{FORMAT}}", "groups": of(earlier(at, grain))}
        expected.append((bucket, prior if compared else None))
    assert seen == expected


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("most", [1, 5])
def test_tables_of_pages_joined_are_the_whole_table(reader: Reader, key: str, most: int) -> None:
    question = asked(Grain.HOUR, metric="cost_cents", group_by="error_code") + "&compare_to=prior_period"
    (whole,) = walk(app(reader, 1000), key, question, CSV, [KNOWN + OPEN])
    pages = list(walk(app(reader, most), key, question, CSV, [KNOWN + OPEN]))
    heading = "bucket_start,key,value,prior_value\r\n"
    assert len(pages) > 1
    assert heading + "".join(page.removeprefix(heading) for page in pages) == whole


def test_however_many_buckets_a_page_has_all_are_counted(url: str, client: Client) -> None:
    """More than are counted at once, with a group in each."""
    set_tier(client, "a", Tier.SCALE)
    client.command(
        "INSERT INTO rollup_minute (org_id, bucket, groups.channel, groups.error_code, groups.sent, groups.delivered, "
        "groups.failed, groups.cost_cents) SELECT 'a', toDateTime({until:UInt32}, 'UTC') - 60 * (number + 1), ['sms'], "
        "[''], [1], [0], [0], [0] FROM numbers(800)",
        parameters={"until": int(AS_OF.timestamp())},
    )
    start = AS_OF - timedelta(minutes=800)
    question = f"metric=sent&granularity=minute&group_by=channel&from={start:{FORMAT}}&to={AS_OF:{FORMAT}}"
    key = create_key(client, "a", ("metrics:read",), None, NOW)
    lengths = {
        most: [len(parsed(page, JSON)) for page in walk(app(Reader(url), most), key, question, JSON, [5000])]
        for most in (99, 350, 800)
    }
    assert lengths == {99: [99] * 8 + [8], 350: [350, 350, 100], 800: [800]}


def asked(grain: Grain, **query: str) -> str:
    """A question for the window."""
    starts = window(grain)
    query |= {
        "granularity": grain.value,
        "from": f"{starts[0]:{FORMAT}}",
        "to": f"{starts[-1] + width(grain):{FORMAT}}",
    }
    return urlencode(query)


def walk(app: ASGIApp, key: str, question: str, kind: str, limits: list[int]) -> Iterator[str]:
    """Every page, with one limit after the other. Each is asked for again, and then with its tag."""
    with TestClient(app) as http:
        for limit in itertools.cycle(limits):
            query = f"{question}&limit={limit}"
            first, again = (request(http, key, query=query, Accept=kind) for _ in range(2))
            assert first.status_code == 200, first.text
            assert (again.content, again.headers["ETag"]) == (first.content, first.headers["ETag"])
            assert request(http, key, query=query, Accept=kind, If_None_Match=first.headers["ETag"]).status_code == 304
            yield first.text
            if (following := first.headers.get("X-Next-Cursor")) is None:
                return
            question = f"cursor={following}"


def parsed(text: str, kind: str) -> list[Side]:
    """The buckets of a page of JSON or NDJSON."""
    if kind == NDJSON:
        lines = [json.loads(line, parse_float=Decimal) for line in text.splitlines()]
        return [({k: v for k, v in line.items() if k != "prior"}, line.get("prior")) for line in lines]
    data = exact_json(text)["data"]
    prior = data["comparison"]["buckets"] if "comparison" in data else [None] * len(data["buckets"])
    return list(zip(data["buckets"], prior, strict=True))
