"""The client's contract as sentences: each with a query that shows it, and what the answer says.

It is 2026-05-05T12:00:00.5Z, and ``as_of`` is 10:30:00.9 of that day.
"""

from dataclasses import dataclass
from typing import Any

from schemas.tiers import Tier

FOUR_HOURS = "from=2026-05-05T08:00:00Z&to=2026-05-05T12:00:00Z"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the contract, a query that shows it, and what the answer has at which path."""

    text: str
    query: str
    status: int
    expected: dict[str, Any]
    tier: Tier = Tier.SCALE


def ok(text: str, query: str, tier: Any = Tier.SCALE, **expected: Any) -> Sentence:
    return Sentence(text, query, 200, {name.replace("__", "."): value for name, value in expected.items()}, tier)


def refused(text: str, query: str, code: str, *details: str, tier: Tier = Tier.SCALE) -> Sentence:
    return Sentence(text, query, 422, {"success": False, "error.code": code, "error.details.?": set(details)}, tier)


def invalid(text: str, query: str, *details: str) -> Sentence:
    return refused(text, query, "VALIDATION_FAILED", *details)


def hours(*values: int | None) -> list[dict[str, Any]]:
    return [{"bucket_start": f"2026-05-05T{8 + n:02}:00:00Z", "value": value} for n, value in enumerate(values)]


METRICS = [
    ok("metric sent", f"metric=sent&{FOUR_HOURS}", data__metric="messages.outbound.sent", data__buckets__0__value=5),
    ok("metric delivered", f"metric=delivered&{FOUR_HOURS}", data__metric="messages.outbound.delivered"),
    ok("metric failed", f"metric=failed&{FOUR_HOURS}", data__buckets__0__value=2),
    ok("metric cost_cents", f"metric=cost_cents&{FOUR_HOURS}", data__buckets__0__value=0.3),
    invalid("metric is required", "", "metric"),
    invalid("metric is spelled in small letters", "metric=SENT", "metric"),
]
WINDOWS = [
    ok(
        "[from, to) is half-open: no bucket starts at to",
        f"metric=sent&{FOUR_HOURS}",
        data__buckets=hours(5, 0, None, None),
    ),
    ok(
        "the window is widened outward to whole buckets and the answer echoes what was used",
        "metric=sent&from=2026-05-05T08:59:59.999Z&to=2026-05-05T09:00:00.001Z",
        data__from="2026-05-05T08:00:00Z",
        data__to="2026-05-05T10:00:00Z",
    ),
    ok(
        "an offset is understood",
        "metric=sent&from=2026-05-05T10:00:00%2B02:00&to=2026-05-05T07:00:00-02:00",
        data__from="2026-05-05T08:00:00Z",
        data__to="2026-05-05T09:00:00Z",
    ),
    ok(
        "days are UTC days wherever the client is",
        "metric=sent&granularity=day&from=2026-05-04T23:00:00-05:00&to=2026-05-05T23:00:00-05:00",
        data__from="2026-05-05T00:00:00Z",
        data__to="2026-05-07T00:00:00Z",
    ),
    ok("a future to is fine and null", "metric=sent&to=2030-01-01T00:00:00Z", data__buckets__0__value=None),
    ok(
        "to defaults to now, from to 24 h before it, both widened",
        "metric=sent",
        **{"data__from": "2026-05-04T12:00:00Z", "data__to": "2026-05-05T13:00:00Z", "data__buckets__#": 25},
    ),
    ok(
        "minutes default to the last hour",
        "metric=sent&granularity=minute",
        **{"data__from": "2026-05-05T11:00:00Z", "data__to": "2026-05-05T12:01:00Z", "data__buckets__#": 61},
    ),
    ok(
        "days default to the last 30 days, widened to whole ones",
        "metric=sent&granularity=day",
        **{"data__from": "2026-04-05T00:00:00Z", "data__to": "2026-05-06T00:00:00Z", "data__buckets__#": 31},
    ),
    ok(
        "from defaults from to, not from now",
        "metric=sent&to=2026-01-02T00:00:00Z",
        data__from="2026-01-01T00:00:00Z",
        data__to="2026-01-02T00:00:00Z",
    ),
    ok(
        "the first and the last year are whole",
        "metric=sent&granularity=day&from=2100-12-30T00:00:00Z&to=2100-12-31T23:59:59Z",
        data__to="2101-01-01T00:00:00Z",
    ),
    ok(
        "years are those of the instant in UTC, not of its digits",
        "metric=sent&granularity=day&from=1999-12-31T23:00:00-02:00&to=2000-01-02T00:00:00Z",
        data__from="2000-01-01T00:00:00Z",
    ),
    ok(
        "from may lie in the second that now is in",
        "metric=sent&granularity=minute&from=2026-05-05T12:00:00.2Z",
        data__from="2026-05-05T12:00:00Z",
        data__to="2026-05-05T12:01:00Z",
    ),
    invalid("years before 2000 are refused", "metric=sent&from=1999-12-31T23:59:59Z", "from"),
    invalid("years after 2100 are refused", "metric=sent&to=2101-01-01T00:00:00Z", "to"),
    invalid("year 1 with an offset is refused", "metric=sent&from=0001-01-01T00:00:00%2B14:00", "from"),
    invalid("year 9999 with an offset is refused", "metric=sent&to=9999-12-31T23:59:59-14:00", "to"),
    invalid(
        "from equal to to is refused under from",
        "metric=sent&to=2026-05-05T08:00:00Z&from=2026-05-05T08:00:00Z",
        "from",
    ),
    invalid(
        "from after to is refused under from", "metric=sent&from=2026-05-05T09:00:00Z&to=2026-05-05T08:00:00Z", "from"
    ),
    invalid("a date is no date-time", "metric=sent&from=2026-05-05", "from"),
    invalid("a time without offset is refused", "metric=sent&from=2026-05-05T00:00:00", "from"),
    invalid("a week date is refused", "metric=sent&from=2026-W19-2T00:00:00Z", "from"),
    invalid("an unencoded + is refused", "metric=sent&from=2026-05-05T00:00:00+02:00", "from"),
    invalid("a leap second is refused", "metric=sent&from=2026-06-30T23:59:60Z", "from"),
    invalid("the 30th of February is refused", "metric=sent&from=2026-02-30T00:00:00Z", "from"),
    invalid("non-ASCII digits are refused", "metric=sent&from=%D9%A2026-05-05T00:00:00Z", "from"),
]
TIERS = [
    ok("payg reads days", "metric=sent", Tier.PAYG, data__granularity="day"),
    ok("starter reads days", "metric=sent", Tier.STARTER, data__granularity="day"),
    ok("growth reads hours unless told", "metric=sent", Tier.GROWTH, data__granularity="hour"),
    ok("growth reads days", "metric=sent&granularity=day", Tier.GROWTH, data__granularity="day"),
    ok("scale reads minutes", "metric=sent&granularity=minute", Tier.SCALE, data__granularity="minute"),
    ok("custom reads minutes", "metric=sent&granularity=minute", Tier.CUSTOM, data__granularity="minute"),
    *(
        refused(
            f"{tier} does not read {grain}s",
            f"metric=sent&granularity={grain}",
            "GRANULARITY_NOT_AVAILABLE",
            "max_granularity",
            tier=tier,
        )
        for tier, grain in [
            (Tier.PAYG, "hour"),
            (Tier.STARTER, "hour"),
            (Tier.STARTER, "minute"),
            (Tier.GROWTH, "minute"),
        ]
    ),
    invalid("there is no week", "metric=sent&granularity=week", "granularity"),
]
SIZES = [
    ok(
        "10,000 buckets pass",
        "metric=sent&granularity=minute&from=2026-05-01T00:00:00Z&to=2026-05-07T22:40:00Z&limit=1",
    ),
    refused(
        "10,001 buckets do not",
        "metric=sent&granularity=minute&from=2026-05-01T00:00:00Z&to=2026-05-07T22:40:01Z",
        "WINDOW_TOO_LARGE",
        "bucket_count",
        "max_buckets",
    ),
    ok(
        "the comparison is not counted",
        "metric=sent&granularity=minute&from=2026-05-01T00:00:00Z&to=2026-05-07T22:40:00Z&limit=1&compare_to=prior_period",
    ),
    ok("limit is 1000 unless sent", "metric=sent&granularity=minute&from=2026-05-01T00:00:00Z", meta__limit=1000),
    ok(
        "a page has limit buckets and a cursor",
        f"metric=sent&{FOUR_HOURS}&limit=3",
        **{"data__buckets__#": 3, "meta__limit": 3, "meta__next_cursor__?": True},
    ),
    ok("the last page has no cursor", f"metric=sent&{FOUR_HOURS}&limit=4", meta__next_cursor=None),
    ok("limit goes to 5000", "metric=sent&limit=5000", meta__limit=5000),
    *(
        invalid(f"limit {limit!r} is refused", f"metric=sent&limit={limit}", "limit")
        for limit in ("0", "5001", "-1", "1.0", "1_0", "", "%D9%A1", "1e3")
    ),
]
SHAPES = [
    ok(
        "grouped buckets have groups sorted by key, [] is a known zero, null is not aggregated yet",
        f"metric=sent&group_by=channel&{FOUR_HOURS}",
        data__buckets=[
            {
                "bucket_start": "2026-05-05T08:00:00Z",
                "groups": [{"key": "email", "value": 4}, {"key": "sms", "value": 1}],
            },
            {"bucket_start": "2026-05-05T09:00:00Z", "groups": []},
            {"bucket_start": "2026-05-05T10:00:00Z", "groups": None},
            {"bucket_start": "2026-05-05T11:00:00Z", "groups": None},
        ],
    ),
    ok(
        "no error code is the key null",
        f"metric=sent&group_by=error_code&{FOUR_HOURS}",
        data__buckets__0__groups=[{"key": None, "value": 5}],
    ),
    ok(
        "a comparison stands index by index beside the buckets",
        "metric=sent&from=2026-05-05T09:00:00Z&to=2026-05-05T11:00:00Z&compare_to=prior_period",
        data__comparison={
            "compare_to": "prior_period",
            "from": "2026-05-05T07:00:00Z",
            "to": "2026-05-05T09:00:00Z",
            "buckets": [
                {"bucket_start": "2026-05-05T07:00:00Z", "value": 0},
                {"bucket_start": "2026-05-05T08:00:00Z", "value": 5},
            ],
        },
    ),
    ok(
        "grouped and compared at once",
        "metric=failed&from=2026-05-05T09:00:00Z&to=2026-05-05T10:00:00Z&compare_to=prior_period&group_by=error_code",
        data__buckets__0__groups=[],
        data__comparison__buckets__0__groups=[{"key": "E1", "value": 2}],
    ),
    ok("as_of is cut to whole seconds", "metric=sent", meta__as_of="2026-05-05T10:30:00Z"),
    ok(
        "as_of cut to whole seconds decides what is null",
        "metric=sent&granularity=minute&from=2026-05-05T10:29:00Z&to=2026-05-05T10:31:00Z",
        data__buckets=[
            {"bucket_start": "2026-05-05T10:29:00Z", "value": 0},
            {"bucket_start": "2026-05-05T10:30:00Z", "value": None},
        ],
    ),
    invalid("group_by is channel or error_code", "metric=sent&group_by=org_id", "group_by"),
    invalid("compare_to is prior_period", "metric=sent&compare_to=prior_year", "compare_to"),
]
REFUSALS = [
    invalid("a repeated parameter is refused", "metric=sent&metric=sent", "metric"),
    invalid("an unknown parameter is refused", "metric=sent&org_id=b", "org_id"),
    invalid("every problem is named at once", "metric=x&from=y&limit=z&w=1", "metric", "from", "limit", "w"),
    refused("an empty cursor is refused", "metric=sent&cursor=", "INVALID_INPUT", "cursor"),
    refused("a malformed cursor is refused", "metric=sent&cursor=%00", "INVALID_INPUT", "cursor"),
    refused("a cursor of bytes that are no text is refused", "metric=sent&cursor=%FF", "INVALID_INPUT", "cursor"),
    invalid(
        "from after to is named among the others", f"metric=x&{FOUR_HOURS.replace('T08', 'T13')}", "metric", "from"
    ),
    invalid("validation comes before the cursor", "metric=x&cursor=x", "metric"),
    refused(
        "the cursor comes before the tier", "granularity=minute&cursor=x", "INVALID_INPUT", "cursor", tier=Tier.PAYG
    ),
    refused(
        "the tier comes before the size",
        "metric=sent&granularity=minute&from=2001-01-01T00:00:00Z",
        "GRANULARITY_NOT_AVAILABLE",
        "max_granularity",
        tier=Tier.PAYG,
    ),
    Sentence(
        "max_granularity is the finest the tier has",
        "metric=sent&granularity=minute",
        422,
        {"error.details": {"max_granularity": "hour"}, "error.message": "granularity not available at this plan tier"},
        Tier.GROWTH,
    ),
    Sentence(
        "the sentence of an unencoded + says what to do",
        "metric=sent&from=2026-05-05T00:00:00+02:00",
        422,
        {"error.message": "validation failed", "error.details.from.~": "%2B"},
    ),
]
SENTENCES = [*METRICS, *WINDOWS, *TIERS, *SIZES, *SHAPES, *REFUSALS]
