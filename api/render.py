"""Answers as bytes: JSON, CSV and NDJSON. Numbers are written from integers and decimals, never from floats. Pure."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from api.errors import ApiError
from api.window import Request, Window
from schemas.grain import MS_PER_SECOND
from schemas.instant import second

Value = int | Decimal
Groups = Sequence[tuple[str, Value]]
"""(key, value), '' being no key."""
Rows = Mapping[int, Value] | Mapping[int, Groups]
"""Per bucket start its value, or its groups; a bucket without a row is missing."""
Bucket = dict[str, Any]

METRIC_NAME = "messages.outbound."
JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
ETAG_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of an answered request. ``prior`` has the rows of the period before, where that was asked for."""

    request: Request
    page: Window
    rows: Rows
    prior: Rows | None
    as_of: int | None
    limit: int
    next_cursor: str | None

    @property
    def is_grouped(self) -> bool:
        return self.request.group_by is not None

    def buckets(self) -> list[Bucket]:
        """The page's buckets."""
        return buckets(self.page, self.rows, self.as_of, grouped=self.is_grouped)

    def prior_buckets(self) -> list[Bucket] | None:
        """The buckets of the prior period, index by index beside the page's; None where not asked for."""
        if self.prior is None:
            return None
        window = self.request.window
        return buckets(self.page.shifted(window.end - window.start), self.prior, self.as_of, grouped=self.is_grouped)


def as_of_seconds(as_of_ms: int) -> int | None:
    """``as_of`` cut to whole seconds; None before the first watermark."""
    return as_of_ms // MS_PER_SECOND if as_of_ms else None


def number_text(value: Value) -> str:
    """Whole when it is whole, else up to 6 decimals."""
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(value: Value) -> int | msgspec.Raw:
    """A JSON number, written from the decimal."""
    return value if isinstance(value, int) else msgspec.Raw(number_text(value).encode())


def _groups(groups: Groups) -> list[Bucket]:
    """Sorted by key, no key (null) last; a group without any of the metric is left out."""
    ordered = sorted((g for g in groups if g[1]), key=lambda g: (not g[0], g[0]))
    return [{"key": key or None, "value": number(value)} for key, value in ordered]


def buckets(window: Window, rows: Rows, as_of: int | None, *, grouped: bool) -> list[Bucket]:
    """Every bucket of the window. One that ends after ``as_of`` (epoch seconds) is null, whatever is known of it."""
    known_until = -1 if as_of is None else as_of - window.grain.seconds
    answer: list[Bucket] = []
    for start in window.bucket_starts:
        row: Any = rows.get(start)
        if grouped:
            item = _groups(row or ()) if start <= known_until else None
            answer.append({"bucket_start": second(start), "groups": item})
        else:
            value = number(row or 0) if start <= known_until else None
            answer.append({"bucket_start": second(start), "value": value})
    return answer


def _data(answer: Answer) -> dict[str, Any]:
    request, window = answer.request, answer.request.window
    data: dict[str, Any] = {
        "metric": METRIC_NAME + request.metric,
        "granularity": window.grain,
        "from": second(window.start),
        "to": second(window.end),
        "buckets": answer.buckets(),
    }
    prior = answer.prior_buckets()
    if prior is not None:
        before = window.before()
        data["comparison"] = {
            "compare_to": request.compare_to,
            "from": second(before.start),
            "to": second(before.end),
            "buckets": prior,
        }
    return data


def _json(answer: Answer) -> tuple[bytes, bytes]:
    data = msgspec.json.encode(_data(answer))
    as_of = None if answer.as_of is None else second(answer.as_of)
    meta = msgspec.json.encode({"as_of": as_of, "limit": answer.limit, "next_cursor": answer.next_cursor})
    return b'{"success":true,"data":' + data + b',"meta":' + meta + b"}", data


def _ndjson(answer: Answer) -> tuple[bytes, bytes]:
    lines = answer.buckets()
    for bucket, prior in zip(lines, answer.prior_buckets() or (), strict=False):
        bucket["prior"] = prior
    body = b"".join(msgspec.json.encode(bucket) + b"\n" for bucket in lines)
    return body, body


def _csv(answer: Answer) -> tuple[bytes, bytes]:
    out = io.StringIO()
    writer = csv.writer(out)
    compared = ["prior_value"] if answer.prior is not None else []
    writer.writerow(["bucket_start", *(["key"] if answer.is_grouped else []), "value", *compared])
    priors: Sequence[Bucket | None] = answer.prior_buckets() or [None] * answer.page.count
    lines = _grouped_lines if answer.is_grouped else _plain_lines
    for bucket, prior in zip(answer.buckets(), priors, strict=True):
        writer.writerows(lines(bucket, prior))
    body = out.getvalue().encode()
    return body, body


def _cell(value: int | msgspec.Raw | None) -> str:
    """A number as a cell; null is an empty cell, and 0 is 0."""
    return "" if value is None else bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value)


def _plain_lines(bucket: Bucket, prior: Bucket | None) -> Iterator[list[str]]:
    yield [bucket["bucket_start"], _cell(bucket["value"]), *([_cell(prior["value"])] if prior else [])]


def _grouped_lines(bucket: Bucket, prior: Bucket | None) -> Iterator[list[str]]:
    """A line per key that either side has; a bucket without groups is one line without a key."""
    sides = [side["groups"] for side in (bucket, prior) if side is not None]
    values = [None if side is None else {group["key"]: group["value"] for group in side} for side in sides]
    keys = sorted({key for side in values for key in side or ()}, key=lambda key: (key is None, key or ""))
    for key in keys or [None]:
        cells = (_cell(None if side is None else side.get(key, 0)) for side in values)
        yield [bucket["bucket_start"], _safe(key or ""), *cells]


def _safe(key: str) -> str:
    """A key that a spreadsheet would take for a formula is marked as text."""
    return "'" + key if key.startswith(FORMULA_STARTS) else key


RENDERERS: Mapping[str, Callable[[Answer], tuple[bytes, bytes]]] = {JSON: _json, CSV: _csv, NDJSON: _ndjson}


def render(answer: Answer, media_type: str) -> tuple[bytes, str]:
    """Body and weak ETag. The tag covers query, numbers and cursor, but not ``as_of``, which moves every second."""
    body, content = RENDERERS[media_type](answer)
    request = answer.request
    query = [request.metric, request.window.grain, request.window.start, request.window.end, request.group_by]
    identity = msgspec.json.encode([media_type, *query, request.compare_to, answer.page.start, answer.limit])
    cursor = (answer.next_cursor or "").encode()
    digest = hashlib.sha256(b"\0".join((identity, content, cursor))).hexdigest()
    return body, f'W/"{digest[:ETAG_CHARACTERS]}"'


def failure(error: ApiError, request_id: str) -> bytes:
    """The body of every other answer."""
    body: dict[str, Any] = {"code": error.code, "message": error.message, "request_id": request_id}
    if error.details is not None:
        body["details"] = error.details
    return msgspec.json.encode({"success": False, "error": body})
