"""The endpoint on a real engine: keys, scopes, tiers, nulls, groups, pages, and that it fails inside its envelope."""

import time
from itertools import chain

import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from api.answers import REUSE_SECONDS
from api.app import create_app
from api.reader import Reader, sql
from deploy.cli.accounts import create_key
from deploy.logs import JsonFormatter
from schemas.api_key import key_hash
from schemas.connection import connect
from tests.support.endpoint import DAY, NOW, PATH, Ask, CheckedClient, Clock, request, store


@pytest.mark.usefixtures("stored")
def test_a_closed_bucket_has_a_number_an_absent_row_is_zero_and_the_rest_is_null(ask: Ask) -> None:
    status, body = ask(metric="sent", **DAY)
    assert status == 200
    assert body["data"]["metric"] == "messages.outbound.sent"
    assert body["data"]["buckets"] == [
        {"bucket_start": "2026-05-05T08:00:00Z", "value": 5},
        {"bucket_start": "2026-05-05T09:00:00Z", "value": 0},
        {"bucket_start": "2026-05-05T10:00:00Z", "value": None},
        {"bucket_start": "2026-05-05T11:00:00Z", "value": None},
    ]
    assert body["meta"] == {"as_of": "2026-05-05T10:30:00Z", "limit": 1000, "next_cursor": None}


def test_before_the_first_watermark_everything_is_null(ask: Ask, client: Client) -> None:
    store(client, "a", "2026-05-05 08:00:00", 5, "0")
    _, body = ask(metric="sent", **DAY)
    assert {bucket["value"] for bucket in body["data"]["buckets"]} == {None}
    assert body["meta"]["as_of"] is None


@pytest.mark.usefixtures("stored")
def test_an_organization_never_sees_anothers_numbers(ask: Ask) -> None:
    for metric in ("sent", "failed", "cost_cents"):
        for group_by in ({}, {"group_by": "channel"}, {"group_by": "error_code"}):
            mine, theirs = (ask(org, metric=metric, **DAY, **group_by)[1]["data"]["buckets"] for org in "ab")
            assert mine[1] != theirs[1]
    _, first = ask("a", metric="sent", limit=1, **DAY)
    status, body = ask("b", cursor=first["meta"]["next_cursor"])
    assert (status, body["error"]["code"]) == (422, "INVALID_INPUT")
    assert list(body["error"]["details"]) == ["cursor"]


@pytest.mark.usefixtures("stored")
def test_costs_are_exact_in_totals_and_groups(http: TestClient, ask: Ask, client: Client) -> None:
    ask("b", metric="sent")
    key = create_key(client, "b", ("metrics:read",), None, NOW)
    text = http.get(PATH, params={"metric": "cost_cents", **DAY}, headers={"Authorization": f"Bearer {key}"}).text
    assert '"value":99999999999.000001}' in text
    assert '"value":5}' in text


@pytest.mark.usefixtures("stored")
def test_groups_are_summed_sorted_and_known_to_be_empty(ask: Ask) -> None:
    _, body = ask(metric="sent", group_by="channel", **DAY)
    assert [bucket["groups"] for bucket in body["data"]["buckets"]] == [
        [{"key": "email", "value": 4}, {"key": "sms", "value": 1}],
        [],
        None,
        None,
    ]
    _, body = ask(metric="failed", group_by="error_code", **DAY)
    assert body["data"]["buckets"][0]["groups"] == [{"key": "E1", "value": 2}]
    _, body = ask(metric="sent", group_by="error_code", **DAY)
    assert body["data"]["buckets"][0]["groups"] == [{"key": None, "value": 5}]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("extra", [{}, {"group_by": "channel"}, {"compare_to": "prior_period"}])
def test_pages_joined_equal_the_whole(ask: Ask, extra: dict[str, str]) -> None:
    query = {"metric": "sent", "from": "2026-05-05T09:00:00Z", "to": "2026-05-05T12:00:00Z", **extra}
    whole = ask(**query)[1]["data"]
    pages, cursor = [], None
    for limit in (1, 2):
        answer = ask(limit=limit, **({"cursor": cursor} if cursor else query))[1]
        pages.append(answer["data"])
        cursor = answer["meta"]["next_cursor"]
    assert cursor is None
    assert list(chain.from_iterable(page["buckets"] for page in pages)) == whole["buckets"]
    if extra.get("compare_to"):
        assert (
            list(chain.from_iterable(page["comparison"]["buckets"] for page in pages)) == whole["comparison"]["buckets"]
        )
        assert whole["comparison"]["from"] == "2026-05-05T06:00:00Z"
        assert whole["comparison"]["buckets"][2] == {"bucket_start": "2026-05-05T08:00:00Z", "value": 5}


def test_every_answer_has_a_request_id_and_errors_are_not_cached(http: TestClient) -> None:
    seen = set()
    for response in (http.get("/nothing"), http.get(PATH + "/"), http.post(PATH), http.get(PATH)):
        error = response.json()["error"]
        assert error["request_id"] == response.headers["X-Request-Id"]
        assert response.headers["Cache-Control"] == "no-store"
        seen.add(error["code"])
    assert seen == {"NOT_FOUND", "METHOD_NOT_ALLOWED", "UNAUTHORIZED"}
    assert "GET" in http.post(PATH).headers["Allow"]


def test_the_event_schema_is_served(http: TestClient) -> None:
    assert http.get("/schemas/message-event.json").json()["title"] == "MessageEvent"


@pytest.mark.parametrize(
    "query",
    [
        b"metric=sent&" + b"x" * 30_000,
        b"metric=sent&from=" + b"9" * 20_000,
        b"metric=%00&to=%00",
        b"metric=sent&cursor=" + b"A" * 20_000,
        b"metric=sent&cursor=",
        b"&&&===",
        b"metric=sent&limit=" + "٣".encode(),
    ],
)
def test_hostile_queries_get_a_4xx_inside_the_envelope(http: TestClient, client: Client, query: bytes) -> None:
    key = create_key(client, "a", ("metrics:read",), None, NOW)
    response = http.get(PATH + "?" + query.decode(), headers={"Authorization": f"Bearer {key}"})
    assert response.status_code == 422
    assert response.json()["error"]["details"]


def test_no_clickhouse_is_a_503_within_three_seconds(clock: Clock) -> None:
    app = create_app(Reader("http://127.0.0.1:9/default"), lambda: 0, clock)
    began = time.monotonic()
    response = CheckedClient(app).get(PATH, headers={"Authorization": "Bearer x"})
    assert time.monotonic() - began < 3
    assert (response.status_code, response.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert response.headers["Retry-After"]


def test_a_fault_tells_nothing_of_the_inside(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader("http://127.0.0.1:9/default")
    monkeypatch.setattr(reader, "key_hashes", lambda _: 1 / 0)
    app = create_app(reader, lambda: 0, clock)
    response = request(CheckedClient(app, raise_server_exceptions=False), "x")
    assert response.status_code == 500
    assert response.json()["error"] | {"request_id": ""} == {
        "code": "INTERNAL",
        "message": "internal error",
        "request_id": "",
    }


def _get(http: TestClient, key: str) -> None:
    http.get(PATH + "?metric=sent", headers={"Authorization": f"Bearer {key}"})


def test_logs_have_the_prefix_and_never_the_key(
    http: TestClient, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    key = create_key(client, "a", ("metrics:read",), None, NOW)
    caplog.handler.setFormatter(JsonFormatter())
    with caplog.at_level("INFO"):
        _get(http, key)
        _get(http, key[:-1] + "!")
    assert f'"key_prefix":"{key[:12]}"' in caplog.text
    assert key[8:] not in caplog.text


def test_a_slow_query_has_a_time_limit(
    http: TestClient, key: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert request(http, key).status_code == 200  # the key is known from here on
    clock.now += REUSE_SECONDS
    slow = "SELECT sum(cityHash64(number)) FROM numbers(1000000000000)"
    monkeypatch.setattr("api.reader.sql", lambda _: slow)
    began = time.monotonic()
    response = request(http, key)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert 1.5 < time.monotonic() - began < 4, "ended by the limit of the query"


@pytest.mark.usefixtures("stored")
def test_a_repeated_question_is_not_modified_until_a_number_changes(
    http: TestClient, key: str, client: Client, clock: Clock
) -> None:
    query = "metric=sent&from=2026-05-05T08:00:00Z&to=2026-05-05T12:00:00Z"
    first = request(http, key, query=query)
    assert first.headers["Cache-Control"] == "private, max-age=30"
    assert first.headers["Vary"] == "Authorization, Accept, Accept-Encoding"
    client.command("INSERT INTO watermark (as_of) VALUES ('2026-05-05 10:31:00')")
    clock.now += REUSE_SECONDS
    again = request(http, key, query=query, If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    store(client, "a", "2026-05-05 09:00:00", 1, "0")
    clock.now += REUSE_SECONDS
    assert request(http, key, query=query, If_None_Match=first.headers["ETag"]).status_code == 200


def test_head_has_the_headers_of_get_and_no_body(http: TestClient, key: str) -> None:
    response, full = request(http, key, "HEAD"), request(http, key)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["ETag"] == full.headers["ETag"]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson"])
def test_other_formats_carry_cursor_and_as_of_in_headers(http: TestClient, key: str, kind: str) -> None:
    query = "metric=sent&from=2026-05-05T08:00:00Z&to=2026-05-05T12:00:00Z&limit=2"
    response = request(http, key, query=query, Accept=kind)
    assert response.headers["Content-Type"].split(";")[0] == kind
    assert response.headers["X-As-Of"] == "2026-05-05T10:30:00Z"
    follow = request(http, key, query="cursor=" + response.headers["X-Next-Cursor"], Accept=kind)
    assert "2026-05-05T11:00:00Z" in follow.text
    assert "X-Next-Cursor" not in follow.headers


def test_large_answers_are_compressed(http: TestClient, key: str) -> None:
    response = request(http, key, query="metric=sent&granularity=minute", Accept_Encoding="gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Authorization, Accept, Accept-Encoding"
    assert len(response.json()["data"]["buckets"]) == 61
    assert "Content-Encoding" not in request(http, key, query="metric=sent", Accept_Encoding="identity").headers


@pytest.mark.parametrize(
    ("query", "body", "status", "code"),
    [("x" * 32_800, b"", 414, "URI_TOO_LONG"), ("metric=sent", b"x" * 10_000, 413, "PAYLOAD_TOO_LARGE")],
)
def test_what_is_too_large_is_refused_in_the_envelope(
    http: TestClient, query: str, body: bytes, status: int, code: str
) -> None:
    response = http.request("GET", f"{PATH}?{query}", content=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers["X-Request-Id"] == response.json()["error"]["request_id"]


def test_cors_is_off_unless_origins_are_named(url: str, http: TestClient, key: str, clock: Clock) -> None:
    origin = "https://app.example.com"
    assert "access-control-allow-origin" not in request(http, key, Origin=origin).headers
    app = create_app(Reader(url), lambda: int(NOW.timestamp() * 1000), clock, [origin])
    response = request(CheckedClient(app), key, Origin=origin)
    assert response.headers["access-control-allow-origin"] == origin
    assert "X-Next-Cursor" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in request(CheckedClient(app), key, Origin="https://evil.example").headers


def test_a_look_up_does_not_read_all_organizations(url: str, client: Client, key: str) -> None:
    client.command("INSERT INTO orgs (org_id, tier) SELECT 'org-' || toString(number), 'payg' FROM numbers(60000)")
    reader = connect(url, settings={"max_rows_to_read": 20_000})
    for asked, tiers in ((key, ["scale"]), ("am_live_" + "0" * 34, [])):
        rows = reader.query(sql("account"), parameters={"key_hash": key_hash(asked), "nonce": 7}).result_rows
        assert [(nonce, [account[-1] for account in accounts]) for nonce, accounts in rows] == [(7, tiers)]
