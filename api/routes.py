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
from api.params import Query, parse_query
from api.reader import Reader
from api.render import as_of_seconds, success
from api.window import Request, check_allowed, resolve
from schemas.grain import MS_PER_SECOND

THREADS = 16
QUERIES_AN_ORGANIZATION = 8


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
        body = await anyio.to_thread.run_sync(self._answer, http, limiter=self._threads)
        headers = {"Cache-Control": "private, max-age=30", "Vary": "Authorization, Accept, Accept-Encoding"}
        return Response(body, media_type="application/json", headers=headers)

    def _answer(self, http: HttpRequest) -> bytes:
        now_ms = self.clock_ms()
        caller = self.authenticator.authenticate(http.headers.get("authorization"), now_ms)
        http.state.caller = caller
        query = parse_query(http.scope["query_string"])
        with self._slot(caller.org_id):
            return self._page(caller, query, now_ms)

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

    def _page(self, caller: Caller, query: Query, now_ms: int) -> bytes:
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
        return success(request, page, rows, prior, as_of, query.limit, following)

    def _decide(self, caller: Caller, query: Query, now_seconds: int) -> tuple[Request, int]:
        """What is asked, and the bucket start at which its page begins."""
        if query.cursor is None:
            request = resolve(query, caller.tier, now_seconds)
            return request, request.window.start
        pinned = cursor.decode(query.cursor, caller.org_id, self.reader.cursor_secret())
        cursor.check_agrees(query, pinned.request)
        check_allowed(pinned.request.window.grain, caller.tier)
        return pinned.request, pinned.position
