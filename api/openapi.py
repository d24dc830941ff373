"""OpenAPI 3.1 of the API. Examples are made by the code that answers, so they cannot drift from it. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from api.answer import BUCKETS, REF, Answer, Changed, Groups, Metrics
from api.errors import (
    ApiError,
    BadRequest,
    Error,
    Forbidden,
    GranularityNotAvailable,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Unauthorized,
    Unavailable,
    UriTooLong,
    ValidationFailed,
    WindowTooLarge,
    failure,
)
from api.negotiate import CSV, JSON, NDJSON
from api.params import COMPARISONS, DEFAULT_LIMIT, ENDPOINT, GROUPS, MAX_LIMIT, URL_TIME_RULE, Metric
from api.render import render
from api.window import MAX_BUCKETS, MAX_COPIED_BUCKETS, PAGE_CELLS, Question, Window
from schemas.grain import Grain

EXAMPLE_START = 1_777_939_200  # 2026-05-05T00:00:00Z
EXAMPLE_ID = "01JTF0M5W6Z3B8Q9XK4N7R2VYD"
INSTANT = {"type": "string", "format": "date-time"}

PARAMETERS: tuple[Mapping[str, Any], ...] = (
    {
        "name": "metric",
        "description": "What to count. Required unless a cursor is sent. cost_cents adds up what all events cost; "
        "credits are negative, so that a sum may be negative, or 0 though money moved.",
        "schema": {"type": "string", "enum": list(Metric)},
    },
    {
        "name": "from",
        "description": f"Start of the window; widened outward to whole UTC buckets. It {URL_TIME_RULE}. "
        "Default: 60 minutes, 24 hours or 30 days before `to`.",
        "schema": INSTANT,
    },
    {
        "name": "to",
        "description": f"End of the window, not included; widened outward to whole UTC buckets. It {URL_TIME_RULE}. "
        "Default: now. In the future it means buckets that are null.",
        "schema": INSTANT,
    },
    {
        "name": "granularity",
        "description": "Width of a bucket. Tiers payg and starter have day, growth also hour, scale and custom also "
        "minute. Default: hour where the tier has it, else day.",
        "schema": {"type": "string", "enum": list(Grain)},
    },
    {
        "name": "group_by",
        "description": "Each bucket has `groups`, sorted by key with null (no error code) last, instead of `value`. A "
        "group of 0 is left out.",
        "schema": {"type": "string", "enum": list(GROUPS)},
    },
    {
        "name": "compare_to",
        "description": "Adds the equally long window right before, index by index beside the page's buckets.",
        "schema": {"type": "string", "enum": list(COMPARISONS)},
    },
    {
        "name": "updated_since",
        "description": "Lists only the buckets whose number was computed or corrected since, and perhaps some more, "
        "each with `updated_at`: what a copy has to replace, groups included. Send `meta.next_updated_since` of the "
        f"last answer, 2000-01-01T00:00:00Z at first. It {URL_TIME_RULE}. Requires `from`; not with `compare_to`.",
        "schema": INSTANT,
    },
    {
        "name": "limit",
        "description": "At most so many buckets a page, with `updated_since` so many that are listed. One with "
        f"`group_by` ends before its groups, of both sides of a comparison, are more than {PAGE_CELLS}.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    },
    {
        "name": "cursor",
        "description": "next_cursor of an answer: pins everything else of the request. A parameter sent along must "
        "agree; limit may change.",
        "schema": {"type": "string"},
    },
)

HEADERS: Mapping[str, Any] = {
    "X-Request-Id": {"description": "A fresh ULID, on every answer.", "schema": {"type": "string"}, "required": True},
    "Cache-Control": {"description": "private, max-age=30; errors: no-store.", "schema": {"type": "string"}},
}
OK_HEADERS: Mapping[str, Any] = {
    **HEADERS,
    "ETag": {"description": "Weak; covers query, numbers and cursor, not as_of.", "schema": {"type": "string"}},
    "Vary": {"description": "Authorization, Accept, Accept-Encoding", "schema": {"type": "string"}},
    "X-As-Of": {"description": "meta.as_of, absent before the first watermark.", "schema": INSTANT},
    "X-Granularities": {"description": "What this key's plan tier may ask for.", "schema": {"type": "string"}},
    "X-Next-Cursor": {"description": "meta.next_cursor, absent on the last page.", "schema": {"type": "string"}},
    "X-Next-Updated-Since": {
        "description": "meta.next_updated_since: only with updated_since, and absent before the first watermark.",
        "schema": INSTANT,
    },
}
ERRORS: tuple[tuple[str, ApiError], ...] = (
    ("unauthorized", Unauthorized()),
    ("forbidden", Forbidden()),
    ("not_found", NotFound()),
    ("method_not_allowed", MethodNotAllowed()),
    ("too_large", PayloadTooLarge()),
    ("uri_too_long", UriTooLong()),
    ("validation_failed", ValidationFailed({"metric": "is required: one of " + ", ".join(Metric)})),
    ("invalid_input", InvalidInput({"cursor": "is not a cursor of this resource"})),
    ("granularity", GranularityNotAvailable({"max_granularity": "day"})),
    ("window_too_large", WindowTooLarge({"bucket_count": 10_001, "max_buckets": MAX_BUCKETS})),
    ("rate_limited", RateLimited()),
    ("internal", ApiError()),
    ("unavailable", Unavailable()),
)


def _schemas() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components([Metrics, *BUCKETS, Error], ref_template=REF)
    schemas["Problem"]["properties"]["code"]["enum"] = sorted({e.code for _, e in ERRORS} | {BadRequest.code})
    return schemas


def _ref(name: str) -> dict[str, str]:
    return {"$ref": REF.format(name=name)}


def _examples() -> dict[str, Any]:
    window = Window(Grain.HOUR, EXAMPLE_START, EXAMPLE_START + 3 * Grain.HOUR.seconds)
    as_of, first = window.end - 17, window.start
    cost: dict[int, Any] = {first: Decimal("10.5"), first + Grain.HOUR.seconds: Decimal(0)}
    groups: dict[int, Groups] = {first: [("carrier_rejected", 3), ("", 1)]}
    made = {
        "pending": Answer(Question(Metric.COST_CENTS, window, None, None), window, cost, None, as_of, 1000, None),
        "groups": Answer(Question(Metric.FAILED, window, "error_code", None), window, groups, None, as_of, 1000, None),
        "comparison": Answer(Question(Metric.SENT, window, None, "prior_period"), window, {}, {}, as_of, 1000, None),
    }
    since = Question(Metric.SENT, window, None, None, as_of)
    changed = Changed([first], {first: as_of + 9}, as_of + 61)
    made["changes"] = Answer(since, window, {first: 7}, None, as_of + 61, 1000, None, changed)
    return {name: {"value": msgspec.json.decode(render(answer, JSON)[0])} for name, answer in made.items()}


def _error_responses() -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for name, error in ERRORS:
        response = responses.setdefault(
            str(error.status),
            {
                "description": error.code,
                "headers": {**HEADERS, **{h: {"schema": {"type": "string"}} for h in error.headers}},
                "content": {JSON: {"schema": _ref(Error.__name__), "examples": {}}},
            },
        )
        response["content"][JSON]["examples"][name] = {"value": msgspec.json.decode(failure(error, EXAMPLE_ID))}
    return responses


def openapi() -> dict[str, Any]:
    """The document."""
    text = {"schema": {"type": "string"}}
    answer = {
        "description": "The buckets of a page. CSV and NDJSON where Accept asks for them.",
        "headers": OK_HEADERS,
        "content": {
            JSON: {"schema": _ref(Metrics.__name__), "examples": _examples()},
            CSV: text,
            NDJSON: text,
        },
    }
    operation = {
        "operationId": "getMessageMetrics",
        "summary": "Counts and costs of messages",
        "description": "Per UTC minute, hour or day. Everything below as_of has a number, which late events may "
        f"correct; everything else is null. At most {MAX_BUCKETS} buckets a window, {MAX_COPIED_BUCKETS} with "
        "updated_since.",
        "parameters": [{**p, "in": "query"} for p in PARAMETERS]
        + [{"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}],
        "responses": {
            "200": answer,
            "304": {"description": "Nothing changed since the ETag.", "headers": OK_HEADERS},
            **_error_responses(),
        },
        "security": [{"key": []}],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Message Metrics", "version": "1.0.0", "description": "Message counts and costs to bill on."},
        "paths": {ENDPOINT: {"get": operation}},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "am_live_ and 34 of [a-z0-9]; metrics:read"}
            },
        },
    }
