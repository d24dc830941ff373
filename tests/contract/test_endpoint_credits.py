"""Costs below zero, from the rollups to every format: exact, and groups whose costs cancel out are those of 0."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from clickhouse_connect.driver.client import Client

from api.app import create_app
from api.negotiate import CSV, JSON, NDJSON
from api.params import Metric
from api.reader import Reader
from api.window import Window
from deploy.cli.accounts import create_key, set_tier
from schemas.connection import connect
from schemas.grain import Grain
from schemas.tiers import Tier
from tests.support.endpoint import NOW, CheckedClient, request
from tests.support.recount import exact_json

START = datetime(2026, 5, 5, tzinfo=UTC)
AS_OF = START + timedelta(hours=10)
HALF = Decimal("0.5")
TEXTS = ("999999999999.999999", "-999999999999.999999", "0.000001", "-0.000001", "-0.5", "0", "-120", "120")
PAIRS: list[tuple[str, str, Decimal]] = [
    ("cancelling", "E1", HALF),
    ("cancelling", "E2", -HALF),
    ("credited", "", -HALF),
    ("mixed", "", 3 * HALF),
    ("mixed", "E1", -HALF),
]


def store(client: Client, org: str, hour: int, pairs: list[tuple[str, str, Decimal]]) -> None:
    """The row of an hour: pairs of channel and error code, each with its cost."""
    channels, codes, costs = zip(*pairs, strict=True)
    row = [org, START + timedelta(hours=hour), sum(costs), channels, codes, *[[0] * len(pairs)] * 3, costs]
    nested = [f"groups.{name}" for name in ("channel", "error_code", "sent", "delivered", "failed", "cost_cents")]
    client.insert("rollup_hour", [row], ["org_id", "bucket", "cost_cents", *nested])


@pytest.fixture(scope="module")
def filled(module_url: str) -> Client:
    """Organization "texts" has one text an hour; "pairs" the same pairs in two hours, between them one without any."""
    client = connect(module_url)
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF:%F %T}')")
    for hour, text in enumerate(TEXTS):
        store(client, "texts", hour, [("sms", "", Decimal(text))])
    for hour in (0, 2):
        store(client, "pairs", hour, PAIRS)
    for org in ("texts", "pairs"):
        set_tier(client, org, Tier.SCALE)
    return client


def ask(url: str, client: Client, org: str, hours: int, accept: str = JSON, **query: str) -> str:
    with CheckedClient(create_app(Reader(url), lambda: int(NOW.timestamp() * 1000), lambda: 0.0)) as http:
        end = START + timedelta(hours=hours)
        words = {"metric": "cost_cents", "from": f"{START:%FT%TZ}", "to": f"{end:%FT%TZ}"} | query
        key = create_key(client, org, ("metrics:read",), None, NOW)
        found = request(http, key, query="&".join(f"{name}={value}" for name, value in words.items()), Accept=accept)
    assert found.status_code == 200, found.text
    return str(found.text)


@pytest.mark.parametrize("accept", [JSON, CSV, NDJSON])
def test_the_text_of_a_cost_is_the_one_that_was_stored(module_url: str, filled: Client, accept: str) -> None:
    text = ask(module_url, filled, "texts", len(TEXTS), accept)
    values = re.findall(r'"value":([^,}]+)', text) if accept != CSV else [row[1] for row in table(text)[1:]]
    assert values == list(TEXTS)


def test_a_group_has_the_sum_of_its_pairs_and_none_where_they_cancel_out(module_url: str, filled: Client) -> None:
    (first, second, third) = exact_json(ask(module_url, filled, "pairs", 3, group_by="channel"))["data"]["buckets"]
    assert first["groups"] == [{"key": "credited", "value": -HALF}, {"key": "mixed", "value": 1}]
    assert (second["groups"], third["groups"]) == ([], first["groups"])
    (codes, *_) = exact_json(ask(module_url, filled, "pairs", 3, group_by="error_code"))["data"]["buckets"]
    assert codes["groups"] == [{"key": "E2", "value": -HALF}, {"key": None, "value": 1}]


@pytest.mark.parametrize("group_by", ["channel", "error_code"])
def test_every_format_has_the_same_groups(module_url: str, filled: Client, group_by: str) -> None:
    """Hours 0 to 2 against the three before, which have nothing: what is missing on a side is 0."""
    query = {"group_by": group_by, "compare_to": "prior_period"}
    data = exact_json(ask(module_url, filled, "pairs", 3, **query))["data"]
    lines = ask(module_url, filled, "pairs", 3, NDJSON, **query).splitlines()
    streamed = [json.loads(line, parse_float=Decimal) for line in lines]
    assert [line.pop("prior") for line in streamed] == data["comparison"]["buckets"]
    assert streamed == data["buckets"]
    expected = [
        [bucket["bucket_start"], group["key"] or "", str(group["value"]), "0"]
        for bucket in data["buckets"]
        for group in bucket["groups"] or [{"key": "", "value": 0}]
    ]
    assert table(ask(module_url, filled, "pairs", 3, CSV, **query))[1:] == expected


def test_what_cancels_out_counts_towards_the_length_of_a_page(module_url: str, filled: Client) -> None:
    """The count is of what is read, and so never less than what is answered."""
    first = int(START.timestamp())
    window, reader = Window(Grain.HOUR, first, first + 3 * 3600), Reader(module_url)
    read = reader.values("pairs", Metric.COST_CENTS, window, "channel")
    assert sorted(read[first]) == [("cancelling", 0), ("credited", -HALF), ("mixed", 1)]  # type: ignore[arg-type]
    assert reader.cells("pairs", Metric.COST_CENTS, window, "channel") == {first: 3, first + 7200: 3}


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))
