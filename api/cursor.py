"""Cursors: the start of a page, and the question as the first request resolved it, signed. Pure.

A cursor is base64url of a 16-byte HMAC-SHA256 and a JSON array. The organization is inside what is signed. Nothing
about a key, a scope or a tier is: those are checked again on every page.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

import msgspec

from api.errors import InvalidInput
from api.params import Metric, Query
from api.window import Question, Window, ceil, floor
from schemas.grain import Grain

SIGNATURE_BYTES = 16
VERSION = 1


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


@dataclass(frozen=True, slots=True)
class Cursor:
    """The question that a cursor pins, and the bucket start its page begins at."""

    question: Question
    position: int


def _sign(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).digest()[:SIGNATURE_BYTES]


def encode(cursor: Cursor, org_id: str, secret: bytes) -> str:
    """A cursor as text, for one organization only."""
    question, window = cursor.question, cursor.question.window
    payload = _Payload(
        VERSION,
        org_id,
        question.metric,
        window.grain,
        window.start,
        window.end,
        question.group_by,
        question.compare_to,
        cursor.position,
    )
    body = msgspec.json.encode(payload)
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
        payload = msgspec.json.decode(body, type=_Payload)
    except msgspec.DecodeError:  # of another version of this service, which runs beside this one
        raise refused from None
    if payload.version != VERSION or payload.org_id != org_id:
        raise refused
    window = Window(payload.grain, payload.start, payload.end)
    return Cursor(Question(payload.metric, window, payload.group_by, payload.compare_to), payload.position)


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
    }
    wrong = {name: "disagrees with the cursor; leave it out or start again" for name, same in agree.items() if not same}
    if wrong:
        raise InvalidInput(wrong)
