"""The one decision about every request: resolve what it asks for to the key of its answer. Pure.

Credentials are checked before. After it, the key alone counts: its answer is cached, or it is read.
"""

from collections.abc import Mapping

import msgspec

from api import cursor
from api.changes import Pinned
from api.cursor import Cursor
from api.negotiate import accepts_gzip, media_type
from api.params import Query
from api.window import Question, check_allowed, resolve
from schemas.instant import Instant
from schemas.tiers import Tier


class CacheKey(msgspec.Struct, frozen=True):
    """Everything that decides the bytes of an answer; above all whose numbers they are."""

    org_id: str
    question: Question
    position: int
    limit: int
    media_type: str
    is_gzipped: bool
    pinned: Pinned | None = None
    """By a cursor, of a question about what has changed."""


def decide(
    query: Query, headers: Mapping[str, str], org_id: str, tier: Tier, cursor_secret: bytes, now: Instant
) -> CacheKey:
    """Resolve a request. ``headers`` have lower-case names; the secret is needed only for a query with a cursor.

    Raises InvalidInput for a cursor that is not this organization's or disagrees with a parameter,
    GranularityNotAvailable and WindowTooLarge.
    """
    start = _start(query, org_id, tier, cursor_secret, now)
    kind, is_gzipped = media_type(headers.get("accept", "")), accepts_gzip(headers.get("accept-encoding", ""))
    return CacheKey(org_id, start.question, start.position, query.limit, kind, is_gzipped, start.pinned)


def _start(query: Query, org_id: str, tier: Tier, cursor_secret: bytes, now: Instant) -> Cursor:
    """The question, and where its page begins."""
    if query.cursor is None:
        question = resolve(query, tier, now)
        return Cursor(question, question.window.start)
    pinned = cursor.decode(query.cursor, org_id, cursor_secret)
    cursor.check_agrees(query, pinned.question)
    check_allowed(pinned.question.window.grain, tier)  # which may have changed since the first page
    return pinned
