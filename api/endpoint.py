"""``GET /v1/metrics/messages``: authenticate, decide what is asked, answer from the cache or read."""

import gzip
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import metrics
from api.answer import Answer
from api.answers import AnswerCache, CachedAnswer, RawHeaders, SingleFlight
from api.auth import Authenticator
from api.cache_key import CacheKey, decide
from api.errors import ApiError, MethodNotAllowed, respond
from api.negotiate import is_not_modified
from api.params import parse_query
from api.reader import Reader
from api.reading import begin
from api.render import render
from api.slots import Slots
from api.threads import Threads
from api.window import PAGE_CELLS
from schemas.grain import MS_PER_SECOND
from schemas.instant import Instant, second
from schemas.tiers import Tier

METHODS = ("GET", "HEAD")
QUERIES_AN_ORGANIZATION = 8
"""So that it cannot take all threads."""
FULL_PAGES = 4
"""Grouped pages of a process have together as many cells as so many of the largest, which bounds its memory."""
GZIP_FROM_BYTES, GZIP_LEVEL = 1024, 4
COMMON_HEADERS = {"Cache-Control": "private, max-age=30", "Vary": "Authorization, Accept, Accept-Encoding"}
CONTENT_HEADERS = frozenset({b"content-encoding", b"content-length", b"content-type"})
GRANULARITIES = {tier: (b"x-granularities", ", ".join(tier.grains).encode()) for tier in Tier}


class MessageMetrics:
    """The resource, as an ASGI application.

    ``clock_ms`` is the wall clock in epoch milliseconds, ``page_cells`` the most cells of a grouped page.
    """

    def __init__(
        self,
        reader: Reader,
        authenticator: Authenticator,
        clock_ms: Callable[[], int],
        cache: AnswerCache,
        threads: Threads,
        page_cells: int = PAGE_CELLS,
    ) -> None:
        self._reader, self._authenticator, self._clock_ms = reader, authenticator, clock_ms
        self._flights = SingleFlight(cache)
        self._threads, self._page_cells = threads, page_cells
        self._queries, self._cells = Slots(QUERIES_AN_ORGANIZATION), Slots(FULL_PAGES * page_cells)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] not in METHODS:
                raise MethodNotAllowed(headers={"Allow": ", ".join(METHODS)})
            status, headers, body = await self._answer(scope)
        except ApiError as error:
            await respond(error, scope["state"]["request_id"])(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Answer one request. Only what blocks runs in a thread; a cached answer needs none."""
        # Reversed, so that of a header that is sent twice the first counts.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        state, now_ms = scope["state"], self._clock_ms()
        authorization = headers.get("authorization")
        state["caller"] = caller = await self._authenticator.authenticate(authorization)
        query = parse_query(scope["query_string"], now := Instant.of_ms(now_ms))
        secret = b"" if query.cursor is None else await self._threads.run(self._reader.cursor_secret)
        key = decide(query, headers, caller.org_id, caller.tier, secret, now)
        answer = await self._flights.get(key, lambda: self._threads.run(self._read, key))
        state["buckets"] = answer.buckets
        state["as_of_lag_ms"] = None if answer.as_of is None else now_ms - answer.as_of * MS_PER_SECOND
        granularities = GRANULARITIES[caller.tier]  # the caller's own; all else is shared
        if is_not_modified(headers.get("if-none-match"), answer.etag):
            return 304, [*answer.headers, granularities], b""
        return 200, [*answer.headers, granularities, *answer.content_headers], answer.body

    def _read(self, key: CacheKey) -> CachedAnswer:
        with self._queries.taken(key.org_id), metrics.IN_FLIGHT.track_inprogress():
            reading = begin(self._reader, key)
            page, cells = reading.fit(self._page_cells)
            with self._cells.taken("all", cells):  # before it is read, until it is bytes
                return write(reading.read(page), key)


def write(answer: Answer, key: CacheKey) -> CachedAnswer:
    """Render an answer, and compress it where the client can unpack it and it is worth it."""
    body, etag = render(answer, key.media_type)
    headers = {**COMMON_HEADERS, "ETag": etag, **_page_headers(answer)}
    if key.is_gzipped and len(body) >= GZIP_FROM_BYTES:
        body = gzip.compress(body, GZIP_LEVEL)
        headers["Content-Encoding"] = "gzip"
    raw = Response(body, media_type=key.media_type, headers=headers).raw_headers
    about: RawHeaders = tuple(header for header in raw if header[0] not in CONTENT_HEADERS)
    content: RawHeaders = tuple(header for header in raw if header[0] in CONTENT_HEADERS)
    return CachedAnswer(body, about, content, etag, answer.bucket_count, answer.as_of)


def _page_headers(answer: Answer) -> dict[str, str]:
    """The fields of `meta` as headers, for CSV and NDJSON, whose bodies have no envelope."""
    headers = {}
    if answer.as_of is not None:
        headers["X-As-Of"] = second(answer.as_of)
    if answer.next_cursor is not None:
        headers["X-Next-Cursor"] = answer.next_cursor
    if answer.changed is not None and answer.changed.next_updated_since is not None:
        headers["X-Next-Updated-Since"] = second(answer.changed.next_updated_since)
    return headers
