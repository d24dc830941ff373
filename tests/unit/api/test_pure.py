"""Parameters, windows, cursors and rendering: the contract's sentences that need no database."""

import base64
import tracemalloc
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import cursor
from api.cursor import Cursor
from api.errors import ApiError, GranularityNotAvailable, InvalidInput, ValidationFailed, WindowTooLarge
from api.negotiate import accepts_gzip, is_not_modified, media_type
from api.params import Metric, parse_query
from api.render import CSV, JSON, NDJSON, Answer, Groups, buckets, number, render
from api.window import Request, Window, resolve
from schemas.grain import Grain
from schemas.instant import Instant, second
from schemas.tiers import Tier

NOW = Instant(1_778_000_000)
SECRET = b"secret"


def problems(query: str) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as error:
        parse_query(query.encode(), NOW)
    assert error.value.details is not None
    return dict(error.value.details)


def decide(query: str, tier: Tier = Tier.SCALE) -> Request:
    return resolve(parse_query(query.encode(), NOW), tier, NOW)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", {"metric"}),
        ("metric=", {"metric"}),
        ("metric=read", {"metric"}),
        ("metric=sent&metric=sent", {"metric"}),
        ("metric=sent&from=2026-05-05", {"from"}),
        ("metric=sent&from=2026-05-05T00:00:00", {"from"}),
        ("metric=sent&from=2026-05-05T00:00:00+02:00", {"from"}),  # + arrives as a space
        ("metric=sent&to=1999-12-31T23:59:59Z", {"to"}),
        ("metric=sent&to=2101-01-01T00:00:00Z", {"to"}),
        ("metric=sent&to=2026-02-30T00:00:00Z", {"to"}),
        ("metric=sent&to=%D9%A2026-05-05T00:00:00Z", {"to"}),
        ("metric=sent&granularity=week", {"granularity"}),
        ("metric=sent&group_by=org", {"group_by"}),
        ("metric=sent&compare_to=last_year", {"compare_to"}),
        *(
            (f"metric=sent&limit={limit}", {"limit"})
            for limit in ("0", "5001", "-1", "1.0", "1_000", "%D9%A1", "", "1e3")
        ),
        ("metric=sent&org_id=other&foo=1", {"org_id", "foo"}),
        ("metric=x&from=y&limit=z", {"metric", "from", "limit"}),
        ("metric=sent&from=%FF", {"from"}),
        ("metric=sent&%FF=1&limit=0", {"\ufffd", "limit"}),
        ("metric=sent&from=2026-05-03T00:00:00Z&to=2026-05-01T00:00:00Z&limit=0", {"from", "limit"}),
        ("cursor=x&from=2026-05-03T00:00:00Z&to=2026-05-01T00:00:00Z", {"from"}),
        ("metric=sent&from=2000-01-01T00:00:00%2B23:00&to=2000-01-02T00:00:00Z", {"from"}),
        ("metric=sent&to=2100-12-31T23:59:59-23:00", {"to"}),
        ("metric=sent&" + "&".join(f"a{i}=1" for i in range(200)), {"query"}),
    ],
)
def test_what_is_not_understood_is_refused_by_name_all_at_once(query: str, named: set[str]) -> None:
    assert set(problems(query)) == named


def test_from_must_be_before_to() -> None:
    for query in ("from=2026-05-05T00:00:00Z&to=2026-05-05T00:00:00Z", "from=2099-01-01T00:00:00Z"):
        with pytest.raises(ValidationFailed) as error:
            decide("metric=sent&" + query)
        assert error.value.details is not None
        assert list(error.value.details) == ["from"]


def test_a_window_is_widened_to_whole_buckets() -> None:
    query = "metric=sent&granularity=hour&from=2026-05-05T00:59:59.9Z&to=2026-05-05T02:00:00.0000001Z"
    window = decide(query).window
    assert (second(window.start), second(window.end)) == ("2026-05-05T00:00:00Z", "2026-05-05T03:00:00Z")


@pytest.mark.parametrize(
    ("tier", "granularity", "grain", "count"),
    [
        (Tier.SCALE, "", Grain.HOUR, 25),
        (Tier.GROWTH, "", Grain.HOUR, 25),
        (Tier.STARTER, "", Grain.DAY, 31),
        (Tier.PAYG, "", Grain.DAY, 31),
        (Tier.SCALE, "&granularity=minute", Grain.MINUTE, 61),
    ],
)
def test_defaults_depend_on_tier_and_granularity(tier: Tier, granularity: str, grain: Grain, count: int) -> None:
    window = decide("metric=sent" + granularity, tier).window
    assert (window.grain, window.count) == (grain, count)


@pytest.mark.parametrize(("tier", "grain"), [(Tier.PAYG, "hour"), (Tier.STARTER, "minute"), (Tier.GROWTH, "minute")])
def test_a_finer_granularity_than_the_tiers_is_refused(tier: Tier, grain: str) -> None:
    with pytest.raises(GranularityNotAvailable) as error:
        decide(f"metric=sent&granularity={grain}", tier)
    assert error.value.details == {"max_granularity": tier.finest.value}


def test_ten_thousand_buckets_pass_and_one_more_does_not() -> None:
    start = "metric=sent&granularity=minute&from=2026-05-01T00:00:00Z"
    assert decide(start + "&to=2026-05-07T22:40:00Z").window.count == 10_000
    with pytest.raises(WindowTooLarge) as error:
        decide(start + "&to=2026-05-07T22:40:01Z")
    assert error.value.details == {"bucket_count": 10_001, "max_buckets": 10_000}


def test_the_tier_is_checked_before_the_size() -> None:
    with pytest.raises(GranularityNotAvailable):
        decide("metric=sent&granularity=minute&from=2001-01-01T00:00:00Z", Tier.PAYG)


GRAINS = st.sampled_from(Grain)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    grain, first, count = draw(GRAINS), draw(st.integers(1_000, 20_000)), draw(st.integers(1, 500))
    return Window(grain, first * grain.seconds, (first + count) * grain.seconds)


@given(GRAINS, st.integers(10**9, 4 * 10**9), st.integers(1, 10**6))
def test_buckets_tile_the_window_and_contain_what_was_asked(grain: Grain, since: int, span: int) -> None:
    window = Window(grain, grain.floor(since), grain.ceil(since + span))
    starts = list(window.bucket_starts)
    assert starts[0] <= since < starts[0] + grain.seconds
    assert starts[-1] < since + span <= starts[-1] + grain.seconds
    assert [b - a for a, b in pairwise(starts)] == [grain.seconds] * (window.count - 1)


@given(windows(), st.integers(1, 200))
def test_pages_joined_are_the_window(window: Window, limit: int) -> None:
    starts: list[int] = []
    position = window.start
    while position < window.end:
        page = window.page(position, limit)
        starts += page.bucket_starts
        position = page.end
    assert starts == list(window.bucket_starts)


REQUEST = Request(Metric.SENT, Window(Grain.HOUR, 3_600_000, 7_200_000), None, "prior_period")


@given(windows(), st.sampled_from(Metric), st.sampled_from([None, "channel", "error_code"]), st.text(max_size=64))
def test_a_cursor_round_trips(window: Window, metric: Metric, group_by: str | None, org: str) -> None:
    made = Cursor(Request(metric, window, group_by, None), window.end - window.grain.seconds)
    assert cursor.decode(cursor.encode(made, org, SECRET), org, SECRET) == made


def test_any_altered_character_of_a_cursor_is_noticed() -> None:
    text = cursor.encode(Cursor(REQUEST, 3_600_000), "org", SECRET)
    altered = {text[:i] + c + text[i + 1 :] for i in range(len(text)) for c in "A9_-z" if text[i] != c}
    for wrong in altered | {text[:-1], text + "A", text + "=", "", "ü", text + "\n", " " + text}:
        with pytest.raises(InvalidInput) as error:
            cursor.decode(wrong, "org", SECRET)
        assert error.value.details is not None
        assert list(error.value.details) == ["cursor"]


def test_whatever_is_remembered_of_headers_has_a_bound() -> None:
    """Each of these would stay in memory for as long as the process lives."""
    tracemalloc.start()
    try:
        for number in range(300):
            assert media_type(f"text/csv;x={number:0100000}") == CSV
            assert accepts_gzip(f"gzip;x={number:0100000}")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1 << 20


def test_a_cursor_of_another_version_is_refused_though_it_is_signed() -> None:
    body = b'[2,"org","sent",{"grain":"week"}]'
    text = base64.urlsafe_b64encode(cursor._sign(SECRET, body) + body).rstrip(b"=").decode()
    with pytest.raises(InvalidInput):
        cursor.decode(text, "org", SECRET)


def test_a_cursor_of_another_organization_or_secret_is_refused() -> None:
    text = cursor.encode(Cursor(REQUEST, 3_600_000), "org", SECRET)
    for org, secret in (("other", SECRET), ("org", b"other")):
        with pytest.raises(InvalidInput):
            cursor.decode(text, org, secret)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("metric=sent&granularity=hour&compare_to=prior_period&limit=7", None),
        ("metric=failed", "metric"),
        ("granularity=day", "granularity"),
        ("group_by=channel", "group_by"),
    ],
)
def test_a_parameter_beside_a_cursor_must_agree_with_it(query: str, wrong: str | None) -> None:
    parsed = parse_query((query + "&cursor=x").encode(), NOW)
    if wrong is None:
        cursor.check_agrees(parsed, REQUEST)
        return
    with pytest.raises(InvalidInput) as error:
        cursor.check_agrees(parsed, REQUEST)
    assert error.value.details is not None
    assert list(error.value.details) == [wrong]


def test_agreement_is_on_resolved_values() -> None:
    request = decide("metric=sent&from=2026-05-05T00:10:00Z&to=2026-05-05T05:00:00Z")
    cursor.check_agrees(parse_query(b"cursor=x&from=2026-05-05T00:59:00Z&to=2026-05-05T04:00:01Z", NOW), request)
    with pytest.raises(InvalidInput):
        cursor.check_agrees(parse_query(b"cursor=x&from=2026-05-05T01:00:00Z", NOW), request)


def test_a_bucket_has_a_number_exactly_when_it_ended_at_as_of() -> None:
    window = Window(Grain.HOUR, 0, 4 * 3600)
    rows = {0: 5, 3600: 7, 7200: 9}
    values = [bucket["value"] for bucket in buckets(window, rows, 7200, grouped=False)]
    assert values == [5, 7, None, None], "a row beyond as_of stays unseen"
    assert [b["value"] for b in buckets(window, {}, 7199, grouped=False)] == [0, None, None, None]
    assert [b["value"] for b in buckets(window, rows, None, grouped=False)] == [None] * 4


def test_groups_are_sorted_with_no_key_last_and_empty_is_a_known_zero() -> None:
    window = Window(Grain.HOUR, 0, 3 * 3600)
    rows = {0: [("", 1), ("b", 2), ("a", 3), ("zero", 0)]}
    answer = [bucket["groups"] for bucket in buckets(window, rows, 7200, grouped=True)]
    assert answer[0] == [{"key": "a", "value": 3}, {"key": "b", "value": 2}, {"key": None, "value": 1}]
    assert answer[1:] == [[], None]


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal("12.000000"), b"12"), (Decimal("0.100000"), b"0.1"), (Decimal("0E-6"), b"0"), (Decimal("1E+3"), b"1000")],
)
def test_a_cost_is_whole_when_it_is_whole(value: Decimal, text: bytes) -> None:
    assert bytes(number(value)) == text


def test_an_answer_without_a_watermark_says_null() -> None:
    request = Request(Metric.SENT, Window(Grain.DAY, 0, 86_400), None, None)
    body, _ = render(Answer(request, request.window, {}, None, None, 1000, None), JSON)
    assert b'"as_of":null' in body
    assert b'"value":null' in body


def test_instants_keep_the_digits_of_their_fraction() -> None:
    query = parse_query(b"metric=sent&from=2026-05-05T00:00:00.000Z&to=2026-05-05T02:00:00.001%2B02:00", NOW)
    assert query.since == Instant(1_777_939_200)
    assert query.until == Instant(1_777_939_200, "001")


def test_every_error_has_a_status_and_a_code() -> None:
    for kind in ApiError.__subclasses__():
        assert 400 <= kind.status < 600
        assert kind.code.isupper()


HOURS = Window(Grain.HOUR, 0, 3 * 3600)
PLAIN = Request(Metric.COST_CENTS, HOURS, None, None)
GROUPED = Request(Metric.SENT, HOURS, "channel", None)
VALUES = {0: Decimal("0.100000"), 3600: Decimal("2.000000")}
GROUP_ROWS: dict[int, Groups] = {0: [("=1+1", 3), ("", 2)]}


def lines(answer: Answer, kind: str) -> list[str]:
    return render(answer, kind)[0].decode().splitlines()


def test_csv_has_empty_cells_for_null_and_zero_for_zero() -> None:
    answer = Answer(PLAIN, HOURS, {0: VALUES[0]}, None, 7200, 1000, None)
    assert lines(answer, CSV) == [
        "bucket_start,value",
        "1970-01-01T00:00:00Z,0.1",
        "1970-01-01T01:00:00Z,0",
        "1970-01-01T02:00:00Z,",
    ]


def test_csv_of_a_comparison_has_both_values() -> None:
    request = Request(Metric.COST_CENTS, HOURS, None, "prior_period")
    answer = Answer(request, HOURS, VALUES, {-10800: Decimal(7)}, 7200, 1000, None)
    assert lines(answer, CSV) == [
        "bucket_start,value,prior_value",
        "1970-01-01T00:00:00Z,0.1,7",
        "1970-01-01T01:00:00Z,2,0",
        "1970-01-01T02:00:00Z,,0",
    ]


def test_csv_of_groups_has_a_line_per_key_and_one_for_none() -> None:
    answer = Answer(GROUPED, HOURS, GROUP_ROWS, None, 7200, 1000, None)
    assert lines(answer, CSV) == [
        "bucket_start,key,value",
        "1970-01-01T00:00:00Z,'=1+1,3",
        "1970-01-01T00:00:00Z,,2",
        "1970-01-01T01:00:00Z,,0",
        "1970-01-01T02:00:00Z,,",
    ]


def test_ndjson_is_a_bucket_object_a_line() -> None:
    answer = Answer(PLAIN, HOURS, VALUES, None, 7200, 1000, None)
    assert lines(answer, NDJSON) == [
        '{"bucket_start":"1970-01-01T00:00:00Z","value":0.1}',
        '{"bucket_start":"1970-01-01T01:00:00Z","value":2}',
        '{"bucket_start":"1970-01-01T02:00:00Z","value":null}',
    ]


def test_a_tag_covers_the_numbers_and_the_page_but_not_as_of() -> None:
    def tag(as_of: int = 7200, rows: dict[int, Decimal] = VALUES, kind: str = JSON, limit: int = 1000) -> str:
        return render(Answer(PLAIN, HOURS, rows, None, as_of, limit, None), kind)[1]

    assert tag() == tag(as_of=7201)
    others = {tag(as_of=10_800), tag(rows={}), tag(kind=CSV), tag(kind=NDJSON), tag(limit=5)}
    assert len(others | {tag()}) == 6
    empty = [Request(Metric.SENT, HOURS, group_by, None) for group_by in ("channel", "error_code")]
    assert len({render(Answer(request, HOURS, {}, None, 7200, 1000, None), JSON)[1] for request in empty}) == 2
    assert tag().startswith('W/"')


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV; charset=utf-8", CSV),
        ("application/x-ndjson", NDJSON),
        ("text/html, text/csv;q=0.5, application/x-ndjson;q=0.9", NDJSON),
        ("text/csv;q=0, */*", JSON),
        ("text/*", JSON),
        ("image/png", JSON),
        ("text/csv;q=x", JSON),
    ],
)
def test_accept_chooses_the_format_and_anything_else_gets_json(accept: str, kind: str) -> None:
    assert media_type(accept) == kind


@pytest.mark.parametrize(
    ("header", "same"),
    [(None, False), ('W/"a"', True), ('"a"', True), ('"x", W/"a"', True), ("*", True), ('"b"', False), ("", False)],
)
def test_validators_are_compared_weakly(header: str | None, same: bool) -> None:
    assert is_not_modified(header, 'W/"a"') is same
