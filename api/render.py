"""Answers as bytes: JSON, CSV and NDJSON, with their tag. Pure."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from api.answer import Answer, Bucket, Data, GroupedBucket, Metrics
from api.negotiate import CSV, JSON, NDJSON

FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
"""With the four in full width, which spreadsheets in East Asian languages take for the same."""
ETAG_CHARACTERS = 32


def _json(answer: Answer) -> tuple[bytes, bytes]:
    data = msgspec.json.encode(answer.data())
    encoded = cast(Data, msgspec.Raw(data))  # encoded once, for the body and for the tag
    return msgspec.json.encode(Metrics(True, encoded, answer.meta())), data


def _ndjson(answer: Answer) -> tuple[bytes, bytes]:
    lines: list[Any] = answer.buckets()
    priors = answer.prior_buckets()
    if priors is not None:
        lines = [{**msgspec.structs.asdict(b), "prior": prior} for b, prior in zip(lines, priors, strict=True)]
    body = msgspec.json.Encoder().encode_lines(lines)
    return body, body


def _csv(answer: Answer) -> tuple[bytes, bytes]:
    out = io.StringIO()
    writer = csv.writer(out)
    more = ["prior_value"] if answer.prior is not None else ["updated_at"] if answer.changed is not None else []
    writer.writerow(["bucket_start", *(["key"] if answer.is_grouped else []), "value", *more])
    priors: Sequence[Any] = answer.prior_buckets() or [None] * answer.bucket_count
    lines: Callable[[Any, Any], Iterator[list[str]]] = _grouped_lines if answer.is_grouped else _plain_lines
    for bucket, prior in zip(answer.buckets(), priors, strict=True):
        updated = [bucket.updated_at or ""] if answer.changed is not None else []
        writer.writerows([*line, *updated] for line in lines(bucket, prior))
    body = out.getvalue().encode()
    return body, body


def _cell(value: msgspec.Raw | None) -> str:
    """A number as a cell; null is an empty cell, and 0 is 0."""
    return "" if value is None else bytes(value).decode()


def _plain_lines(bucket: Bucket, prior: Bucket | None) -> Iterator[list[str]]:
    yield [bucket.bucket_start, _cell(bucket.value), *([_cell(prior.value)] if prior else [])]


def _grouped_lines(bucket: GroupedBucket, prior: GroupedBucket | None) -> Iterator[list[str]]:
    """A line per key that either side has; a bucket without groups is one line without a key."""
    sides = [side.groups for side in (bucket, prior) if side is not None]
    values = [None if side is None else {group.key: _cell(group.value) for group in side} for side in sides]
    keys = sorted({key for side in values for key in side or ()}, key=lambda key: (key is None, key or ""))
    for key in keys or [None]:
        yield [
            bucket.bucket_start,
            as_text_cell(key or ""),
            *("" if side is None else side.get(key, "0") for side in values),
        ]


def as_text_cell(key: str) -> str:
    """A key that a spreadsheet would take for a formula is marked as text."""
    return "'" + key if key.startswith(FORMULA_STARTS) else key


RENDERERS: Mapping[str, Callable[[Answer], tuple[bytes, bytes]]] = {JSON: _json, CSV: _csv, NDJSON: _ndjson}


def render(answer: Answer, media_type: str) -> tuple[bytes, str]:
    """Body and weak ETag. The tag covers question, numbers and cursor, but neither ``as_of`` nor
    ``next_updated_since``, which move every second."""
    body, content = RENDERERS[media_type](answer)
    question, window = answer.question, answer.question.window
    asked = [question.metric, window.grain, window.start, window.end, question.group_by, question.compare_to]
    if question.updated_since is not None:
        asked.append(question.updated_since)
    identity = msgspec.json.encode([media_type, *asked, answer.page.start, answer.limit])
    cursor = (answer.next_cursor or "").encode()
    digest = hashlib.sha256()
    for part in (identity, b"\0", content, b"\0", cursor):  # joined, they would be a copy of a large answer
        digest.update(part)
    return body, f'W/"{digest.hexdigest()[:ETAG_CHARACTERS]}"'
