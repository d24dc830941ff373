"""``GET /v1/metrics/messages``: authenticate, decide what is asked, read, answer."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from api import cursor
from api.auth import Authenticator, Caller
from api.cursor import Cursor
from api.errors import RateLimited
from api.negotiate import is_not_modified, media_type
from api.params import Query, parse_query
from api.reader import Reader
from api.render import Answer, as_of_seconds, render, timestamp
from api.window import Request, check_allowed, resolve
from schemas.grain import MS_PER_SECOND

THREADS = 16
QUERIES_AN_ORGANIZATION = 8
CACHE_HEADERS = {"Cache-Control": "private, max-age=30", "Vary": "Authorization, Accept, Accept-Encoding"}


@dataclass(slots=True)
class Metrics:
    """The resource. ``clock_ms`` is the wall clock in epoch milliseconds."""

    reader: Reader
    authenticator: Authenticator
    clock_ms: Callable[[], int]
    running: Counter[str] = field(default_factory=Counter)
    _threads: anyio.CapacityLimiter | None = None

    async def get(self, http: HttpRequest) -> Response:
        """Answer one request; everything that blocks runs in a thread."""
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(self._respond, http, limiter=self._threads)

    def _respond(self, http: HttpRequest) -> Response:
        now_ms = self.clock_ms()
        caller = self.authenticator.authenticate(http.headers.get("authorization"), now_ms)
        http.state.caller = caller
        query = parse_query(http.scope["query_string"])
        with self._slot(caller.org_id):
            answer = self._page(caller, query, now_ms)
        http.state.buckets = answer.page.count
        http.state.as_of_lag_ms = None if answer.as_of is None else now_ms - answer.as_of * MS_PER_SECOND
        kind = media_type(http.headers.get("accept", ""))
        body, etag = render(answer, kind)
        headers = {**CACHE_HEADERS, "ETag": etag, **_page_headers(answer)}
        if is_not_modified(http.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=kind, headers=headers)

    @contextmanager
    def _slot(self, org_id: str) -> Iterator[None]:
        """One organization cannot take all threads."""
        if self.running[org_id] >= QUERIES_AN_ORGANIZATION:
            raise RateLimited
        self.running[org_id] += 1
        try:
            yield
        finally:
            self.running[org_id] -= 1
            if not self.running[org_id]:
                del self.running[org_id]

    def _page(self, caller: Caller, query: Query, now_ms: int) -> Answer:
        request, position = self._decide(caller, query, now_ms // MS_PER_SECOND)
        page = request.window.page(position, query.limit)
        as_of = as_of_seconds(self.reader.as_of_ms())  # before the data: who sees it sees everything below it
        rows = self.reader.values(caller.org_id, request.metric, page, request.group_by)
        prior = None
        if request.compare_to:
            earlier = page.shifted(request.window.end - request.window.start)
            prior = self.reader.values(caller.org_id, request.metric, earlier, request.group_by)
        following = None
        if page.end < request.window.end:
            following = cursor.encode(Cursor(request, page.end), caller.org_id, self.reader.cursor_secret())
        return Answer(request, page, rows, prior, as_of, query.limit, following)

    def _decide(self, caller: Caller, query: Query, now_seconds: int) -> tuple[Request, int]:
        """What is asked, and the bucket start at which its page begins."""
        if query.cursor is None:
            request = resolve(query, caller.tier, now_seconds)
            return request, request.window.start
        pinned = cursor.decode(query.cursor, caller.org_id, self.reader.cursor_secret())
        cursor.check_agrees(query, pinned.request)
        check_allowed(pinned.request.window.grain, caller.tier)
        return pinned.request, pinned.position


def _page_headers(answer: Answer) -> dict[str, str]:
    """What a body without an envelope cannot say."""
    headers = {}
    if answer.as_of is not None:
        headers["X-As-Of"] = timestamp(answer.as_of)
    if answer.next_cursor is not None:
        headers["X-Next-Cursor"] = answer.next_cursor
    return headers
