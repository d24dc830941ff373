"""Cursors: the start of a page, and the question as the first request resolved it, signed. Pure.

A cursor is base64url of a 16-byte HMAC-SHA256 and a JSON array. The organization is inside what is signed. Nothing
about a key, a scope or a tier is: those are checked again on every page.

A question about what has changed has a longer array, of version 2; all others are of version 1.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from api.changes import Pinned
from api.errors import InvalidInput
from api.params import Metric, Query
from api.window import Question, Window, ceil, floor
from schemas.grain import Grain

SIGNATURE_BYTES = 16
VERSION, CHANGES_VERSION = 1, 2


class _Payload(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    org_id: str
    metric: Metric
    grain: Grain
    start: int
    end: int
    group_by: str | None
    compare_to: str | None
    position: int


class _ChangesPayload(_Payload, array_like=True, forbid_unknown_fields=True):
    updated_since: int
    resynced_at: int
    next_updated_since: int | None


_PAYLOADS: Mapping[int, type[_Payload]] = {VERSION: _Payload, CHANGES_VERSION: _ChangesPayload}


@dataclass(frozen=True, slots=True)
class Cursor:
    """The question that a cursor pins, and the bucket start its page begins at.

    ``pinned`` is what the first page saw, of a question about what has changed.
    """

    question: Question
    position: int
    pinned: Pinned | None = None


def _sign(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).digest()[:SIGNATURE_BYTES]


def encode(cursor: Cursor, org_id: str, secret: bytes) -> str:
    """A cursor as text, for one organization only."""
    question, window = cursor.question, cursor.question.window
    values: list[Any] = [
        VERSION if cursor.pinned is None else CHANGES_VERSION,
        org_id,
        question.metric,
        window.grain,
        window.start,
        window.end,
        question.group_by,
        question.compare_to,
        cursor.position,
    ]
    if cursor.pinned is not None:
        values += [question.updated_since, cursor.pinned.resynced_at, cursor.pinned.next_updated_since]
    body = msgspec.json.encode(values)
    return base64.urlsafe_b64encode(_sign(secret, body) + body).rstrip(b"=").decode()


def decode(text: str, org_id: str, secret: bytes) -> Cursor:
    """Verify and read a cursor. Raises InvalidInput for a text that this service did not write for the organization."""
    refused = InvalidInput({"cursor": "is not a cursor of this resource; take next_cursor of an answer, unchanged"})
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise refused from None
    signature, body = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    canonical = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    if canonical != text or not hmac.compare_digest(signature, _sign(secret, body)):
        raise refused
    try:
        values = msgspec.json.decode(body, type=list[Any])
        payload = msgspec.json.decode(body, type=_PAYLOADS[values[0]])
    except (msgspec.DecodeError, LookupError):  # of another version of this service, which runs beside this one
        raise refused from None
    if payload.org_id != org_id:
        raise refused
    window = Window(payload.grain, payload.start, payload.end)
    question = Question(payload.metric, window, payload.group_by, payload.compare_to)
    if not isinstance(payload, _ChangesPayload):
        return Cursor(question, payload.position)
    question = msgspec.structs.replace(question, updated_since=payload.updated_since)
    return Cursor(question, payload.position, Pinned(payload.resynced_at, payload.next_updated_since))


def check_agrees(query: Query, question: Question) -> None:
    """Compare the parameters beside a cursor with what it pins, each as it resolves. Raises InvalidInput."""
    grain = question.window.grain
    agree = {
        "metric": query.metric in (None, question.metric),
        "from": query.since is None or floor(grain, query.since) == question.window.start,
        "to": query.until is None or ceil(grain, query.until) == question.window.end,
        "granularity": query.granularity in (None, grain),
        "group_by": query.group_by in (None, question.group_by),
        "compare_to": query.compare_to in (None, question.compare_to),
        "updated_since": query.updated_since is None or query.updated_since.seconds == question.updated_since,
    }
    wrong = {name: "disagrees with the cursor; leave it out or start again" for name, same in agree.items() if not same}
    if wrong:
        raise InvalidInput(wrong)
