"""``GET /v1/metrics/messages``: authenticate, decide what is asked, read, answer."""

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Scope

from api import cursor, metrics
from api.answers import Asked, Ready
from api.auth import Authenticator, Caller
from api.cursor import Cursor
from api.errors import RateLimited
from api.negotiate import accepts_gzip, is_not_modified, media_type
from api.params import Query, parse_query
from api.reader import Reader
from api.render import Answer, as_of_seconds, render
from api.security import HEADERS
from api.sharing import Shared
from api.window import Request, check_allowed, resolve
from schemas.grain import MS_PER_SECOND
from schemas.instant import Instant, second

T = TypeVar("T")

THREADS = 16
QUERIES_AN_ORGANIZATION = 8
GZIP_FROM_BYTES, GZIP_LEVEL = 1024, 4
COMMON_HEADERS = {**HEADERS, "Cache-Control": "private, max-age=30", "Vary": "Authorization, Accept, Accept-Encoding"}


@dataclass(slots=True)
class Metrics:
    """The resource. ``clock_ms`` is the wall clock in epoch milliseconds."""

    reader: Reader
    authenticator: Authenticator
    clock_ms: Callable[[], int]
    shared: Shared
    running: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: anyio.CapacityLimiter | None = None

    async def get(self, http: HttpRequest) -> Response:
        """Answer one request. Whatever blocks runs in a thread; an answer that is kept needs none."""
        now_ms = self.clock_ms()
        known: Caller | None = getattr(http.state, "caller", None)
        caller = known or await self._authenticate(http.headers.get("authorization"), now_ms)
        http.state.caller = caller
        now = Instant.of_ms(now_ms)
        asked = await self._decide(http, caller, parse_query(http.scope["query_string"], now), now)
        ready = await self.shared.get(asked, lambda: self._in_thread(self._read, asked))
        _note(http.scope["state"], ready, now_ms)
        return _response(ready, caller, http.headers.get("if-none-match"), asked.media_type)

    def kept(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """The answer to a request without a cursor where it is kept, after the same checks; None where it is not.

        Raises what is wrong with the request. ``headers`` have lower-case names.
        """
        now_ms = self.clock_ms()
        caller = self.authenticator.remembered(headers.get("authorization"), now_ms)
        if caller is None:
            return None
        scope["state"]["caller"] = caller
        now = Instant.of_ms(now_ms)
        query = parse_query(scope["query_string"], now)
        if query.cursor is not None:
            return None
        request = resolve(query, caller.tier, now)
        asked = _asked(caller, request, request.window.start, query.limit, headers)
        ready = self.shared.kept(asked)
        if ready is None:
            return None
        _note(scope["state"], ready, now_ms)
        if "if-none-match" in headers:
            return _response(ready, caller, headers["if-none-match"], asked.media_type)
        if caller.tier not in ready.responses:
            ready.responses[caller.tier] = _response(ready, caller, None, asked.media_type)
        return ready.responses[caller.tier]

    async def _authenticate(self, header: str | None, now_ms: int) -> Caller:
        known = self.authenticator.remembered(header, now_ms)
        if known is not None:
            return known
        return await self._in_thread(self.authenticator.authenticate, header, now_ms)

    async def _in_thread(self, call: Callable[..., T], *args: Any) -> T:
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(call, *args, limiter=self._threads)

    async def _decide(self, http: HttpRequest, caller: Caller, query: Query, now: Instant) -> Asked:
        """What is asked, everything resolved."""
        if query.cursor is None:
            request = resolve(query, caller.tier, now)
            position = request.window.start
        else:
            secret = await self._in_thread(self.reader.cursor_secret)
            pinned = cursor.decode(query.cursor, caller.org_id, secret)
            cursor.check_agrees(query, pinned.request)
            check_allowed(pinned.request.window.grain, caller.tier)
            request, position = pinned.request, pinned.position
        return _asked(caller, request, position, query.limit, http.headers)

    def _read(self, asked: Asked) -> Ready:
        with self._slot(asked.org_id):
            answer = self._page(asked)
        body, etag = render(answer, asked.media_type)
        headers = _page_headers(answer)
        if asked.is_gzipped and len(body) >= GZIP_FROM_BYTES:
            body = gzip.compress(body, GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
        return Ready(body, headers, etag, answer.page.count, answer.as_of)

    @contextmanager
    def _slot(self, org_id: str) -> Iterator[None]:
        """One organization cannot take all threads."""
        with self._lock:
            if self.running[org_id] >= QUERIES_AN_ORGANIZATION:
                metrics.RATE_LIMITED.inc()
                raise RateLimited
            self.running[org_id] += 1
        try:
            with metrics.IN_FLIGHT.track_inprogress():
                yield
        finally:
            with self._lock:
                self.running[org_id] -= 1
                if not self.running[org_id]:
                    del self.running[org_id]

    def _page(self, asked: Asked) -> Answer:
        request = asked.request
        page = request.window.page(asked.position, asked.limit)
        as_of = as_of_seconds(self.reader.as_of_ms())  # before the data: who sees it sees everything below it
        rows = self.reader.values(asked.org_id, request.metric, page, request.group_by)
        prior = None
        if request.compare_to:
            earlier = page.shifted(request.window.end - request.window.start)
            prior = self.reader.values(asked.org_id, request.metric, earlier, request.group_by)
        following = None
        if page.end < request.window.end:
            following = cursor.encode(Cursor(request, page.end), asked.org_id, self.reader.cursor_secret())
        return Answer(request, page, rows, prior, as_of, asked.limit, following)


def _asked(caller: Caller, request: Request, position: int, limit: int, headers: Mapping[str, str]) -> Asked:
    kind, is_gzipped = media_type(headers.get("accept", "")), accepts_gzip(headers.get("accept-encoding", ""))
    return Asked(caller.org_id, request, position, limit, kind, is_gzipped)


def _note(state: dict[str, Any], ready: Ready, now_ms: int) -> None:
    """What the access log says of an answer."""
    state["buckets"] = ready.buckets
    state["as_of_lag_ms"] = None if ready.as_of is None else now_ms - ready.as_of * MS_PER_SECOND


def _response(ready: Ready, caller: Caller, if_none_match: str | None, kind: str) -> Response:
    """The answer as this caller gets it: the tier is the caller's own, the rest is everybody's who asked the same."""
    headers = {**COMMON_HEADERS, "ETag": ready.etag, **ready.headers, "X-Granularities": ", ".join(caller.tier.grains)}
    if is_not_modified(if_none_match, ready.etag):
        headers.pop("Content-Encoding", None)
        return Response(status_code=304, headers=headers)
    return Response(ready.body, media_type=kind, headers=headers)


def _page_headers(answer: Answer) -> dict[str, str]:
    """What a body without an envelope cannot say."""
    headers = {}
    if answer.as_of is not None:
        headers["X-As-Of"] = second(answer.as_of)
    if answer.next_cursor is not None:
        headers["X-Next-Cursor"] = answer.next_cursor
    return headers
