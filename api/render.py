"""Answers as bytes. Numbers are written from integers and decimals, never from floats. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from api.errors import ApiError
from api.window import Request, Window
from schemas.grain import MS_PER_SECOND

Value = int | Decimal
Groups = Sequence[tuple[str, Value]]
"""(key, value), '' being no key."""
Rows = Mapping[int, Value] | Mapping[int, Groups]
"""Per bucket start its value, or its groups; a bucket without a row is missing."""

METRIC_NAME = "messages.outbound."


def timestamp(seconds: int) -> str:
    """Epoch seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(value: Value) -> int | msgspec.Raw:
    """A JSON number: whole when it is whole, else up to 6 decimals, written from the decimal."""
    if isinstance(value, int):
        return value
    text = f"{value:f}"
    return msgspec.Raw((text.rstrip("0").rstrip(".") if "." in text else text).encode())


def _groups(groups: Groups) -> list[dict[str, Any]]:
    """Sorted by key, no key (null) last; a group without any of the metric is left out."""
    ordered = sorted((g for g in groups if g[1]), key=lambda g: (not g[0], g[0]))
    return [{"key": key or None, "value": number(value)} for key, value in ordered]


def buckets(window: Window, rows: Rows, as_of: int | None, *, grouped: bool) -> list[dict[str, Any]]:
    """Every bucket of the window. One that ends after ``as_of`` (epoch seconds) is null, whatever is known of it."""
    known_until = -1 if as_of is None else as_of - window.grain.seconds
    answer: list[dict[str, Any]] = []
    for start in window.bucket_starts:
        row: Any = rows.get(start)
        if grouped:
            item = _groups(row or ()) if start <= known_until else None
            answer.append({"bucket_start": timestamp(start), "groups": item})
        else:
            value = number(row or 0) if start <= known_until else None
            answer.append({"bucket_start": timestamp(start), "value": value})
    return answer


def success(
    request: Request,
    page: Window,
    rows: Rows,
    prior: Rows | None,
    as_of: int | None,
    limit: int,
    next_cursor: str | None,
) -> bytes:
    """The body of a 200."""
    window, grouped = request.window, request.group_by is not None
    data: dict[str, Any] = {
        "metric": METRIC_NAME + request.metric,
        "granularity": window.grain,
        "from": timestamp(window.start),
        "to": timestamp(window.end),
        "buckets": buckets(page, rows, as_of, grouped=grouped),
    }
    if prior is not None:
        before = window.before()
        data["comparison"] = {
            "compare_to": request.compare_to,
            "from": timestamp(before.start),
            "to": timestamp(before.end),
            "buckets": buckets(page.shifted(window.end - window.start), prior, as_of, grouped=grouped),
        }
    meta = {"as_of": None if as_of is None else timestamp(as_of), "limit": limit, "next_cursor": next_cursor}
    return msgspec.json.encode({"success": True, "data": data, "meta": meta})


def failure(error: ApiError, request_id: str) -> bytes:
    """The body of every other answer."""
    body: dict[str, Any] = {"code": error.code, "message": error.message, "request_id": request_id}
    if error.details is not None:
        body["details"] = error.details
    return msgspec.json.encode({"success": False, "error": body})


def as_of_seconds(as_of_ms: int) -> int | None:
    """``as_of`` cut to whole seconds; None before the first watermark."""
    return as_of_ms // MS_PER_SECOND if as_of_ms else None
