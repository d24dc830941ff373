"""``GET /v1/metrics/messages``: authenticate, decide what is asked, answer from the cache or read."""

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import cursor, metrics
from api.answer import Answer, as_of_seconds
from api.answers import AnswerCache, CachedAnswer, RawHeaders, SingleFlight
from api.auth import Authenticator
from api.cache_key import CacheKey, decide
from api.cursor import Cursor
from api.errors import ApiError, MethodNotAllowed, RateLimited, respond
from api.negotiate import is_not_modified
from api.params import parse_query
from api.reader import Reader
from api.render import render
from schemas.grain import MS_PER_SECOND
from schemas.instant import Instant, second
from schemas.tiers import Tier

T = TypeVar("T")

METHODS = ("GET", "HEAD")
THREADS = 16
QUERIES_AN_ORGANIZATION = 8
GZIP_FROM_BYTES, GZIP_LEVEL = 1024, 4
COMMON_HEADERS = {"Cache-Control": "private, max-age=30", "Vary": "Authorization, Accept, Accept-Encoding"}
CONTENT_HEADERS = frozenset({b"content-encoding", b"content-length", b"content-type"})
GRANULARITIES = {tier: (b"x-granularities", ", ".join(tier.grains).encode()) for tier in Tier}


class MessageMetrics:
    """The resource, as an ASGI application. ``clock_ms`` is the wall clock in epoch milliseconds."""

    def __init__(
        self, reader: Reader, authenticator: Authenticator, clock_ms: Callable[[], int], cache: AnswerCache
    ) -> None:
        self._reader, self._authenticator, self._clock_ms = reader, authenticator, clock_ms
        self._flights = SingleFlight(cache)
        self._slots = Slots()
        self._threads: anyio.CapacityLimiter | None = None

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
        caller = self._authenticator.remembered(authorization, now_ms)
        if caller is None:
            caller = await self._in_thread(self._authenticator.authenticate, authorization, now_ms)
        state["caller"] = caller
        query = parse_query(scope["query_string"], now := Instant.of_ms(now_ms))
        secret = b"" if query.cursor is None else await self._in_thread(self._reader.cursor_secret)
        key = decide(query, headers, caller.org_id, caller.tier, secret, now)
        answer = await self._flights.get(key, lambda: self._in_thread(self._read, key))
        state["buckets"] = answer.buckets
        state["as_of_lag_ms"] = None if answer.as_of is None else now_ms - answer.as_of * MS_PER_SECOND
        granularities = GRANULARITIES[caller.tier]  # the caller's own; all else is shared
        if is_not_modified(headers.get("if-none-match"), answer.etag):
            return 304, [*answer.headers, granularities], b""
        return 200, [*answer.headers, granularities, *answer.content_headers], answer.body

    async def _in_thread(self, call: Callable[..., T], *args: Any) -> T:
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(call, *args, limiter=self._threads)

    def _read(self, key: CacheKey) -> CachedAnswer:
        with self._slots.taken(key.org_id):
            answer = read_page(self._reader, key)
        return write(answer, key)


class Slots:
    """Bounds the queries that an organization may have running, so that it cannot take all threads."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, org_id: str) -> Iterator[None]:
        """Hold a slot of the organization. Raises RateLimited when all are taken."""
        with self._lock:
            if self._running[org_id] >= QUERIES_AN_ORGANIZATION:
                metrics.RATE_LIMITED.inc()
                raise RateLimited
            self._running[org_id] += 1
        try:
            with metrics.IN_FLIGHT.track_inprogress():
                yield
        finally:
            with self._lock:
                self._running[org_id] -= 1
                if not self._running[org_id]:
                    del self._running[org_id]


def read_page(reader: Reader, key: CacheKey) -> Answer:
    """Read an answer from ClickHouse; blocks. Raises Unavailable."""
    question = key.question
    page = question.window.page(key.position, key.limit)
    as_of = as_of_seconds(reader.as_of_ms())  # before the data: a reader who sees it sees everything below it
    rows = reader.values(key.org_id, question.metric, page, question.group_by)
    prior = None
    if question.compare_to:
        earlier = page.shifted(question.window.end - question.window.start)
        prior = reader.values(key.org_id, question.metric, earlier, question.group_by)
    following = None
    if page.end < question.window.end:
        following = cursor.encode(Cursor(question, page.end), key.org_id, reader.cursor_secret())
    return Answer(question, page, rows, prior, as_of, key.limit, following)


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
    return CachedAnswer(body, about, content, etag, answer.page.count, answer.as_of)


def _page_headers(answer: Answer) -> dict[str, str]:
    """`as_of` and `next_cursor` as headers, for CSV and NDJSON, whose bodies have no envelope."""
    headers = {}
    if answer.as_of is not None:
        headers["X-As-Of"] = second(answer.as_of)
    if answer.next_cursor is not None:
        headers["X-Next-Cursor"] = answer.next_cursor
    return headers
