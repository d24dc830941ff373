"""The ASGI application: routes, errors, limits, request ids and the access log.

A request goes through these, from the outside in::

    RequestLog         request id, security headers, one line in the log, metrics
    Starlette          500 for any exception from below
      CORSMiddleware   only where origins are configured
      Limits           413, 414
      EndpointFirst    MessageMetrics answers its path; all other paths go on
      routes           documents and the dashboard; 404, 405
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from api import metrics
from api.answers import REUSE_SECONDS, AnswerCache
from api.auth import Authenticator
from api.documents import document_routes
from api.endpoint import MessageMetrics
from api.errors import ApiError, PayloadTooLarge, UriTooLong, of_framework, respond
from api.known_keys import KnownKeys
from api.pages import dashboard_routes
from api.params import ENDPOINT
from api.reader import Reader
from api.security import with_defaults
from api.threads import Threads
from api.window import PAGE_CELLS
from schemas.api_key import KEY_PATTERN, key_prefix

log = logging.getLogger(__name__)
access = logging.getLogger("api.access")

MAX_URI_BYTES = 32 * 1024
MAX_BODY_BYTES = 8 * 1024
MAX_LOGGED_CHARACTERS = 256
EXPOSED_HEADERS = [
    "ETag",
    "X-Request-Id",
    "X-Next-Cursor",
    "X-Next-Updated-Since",
    "X-As-Of",
    "X-Granularities",
    "Retry-After",
]


class RequestLog:
    """Middleware: gives every answer a request id and security headers, counts it, and logs a line.

    Of a key it logs the prefix only.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began, status = str(ULID()), time.perf_counter(), 500
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [(n, _each_once(v) if n == b"vary" else v) for n, v in message["headers"]]
                message["headers"] = [*with_defaults(headers), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._log(scope, status, time.perf_counter() - began)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        metrics.answered(scope["path"], status, seconds)
        caller = scope["state"].get("caller")
        line = {
            "request_id": scope["state"]["request_id"],
            "method": scope["method"],
            "route": _loggable(scope["path"]),
            "status": status,
            "ms": round(seconds * 1000, 2),
            "org_id": getattr(caller, "org_id", None),
            "key_prefix": getattr(caller, "key_prefix", None),
            "buckets": scope["state"].get("buckets"),
            "as_of_lag_ms": scope["state"].get("as_of_lag_ms"),
        }
        access.info("answered", extra={"fields": line})


def _loggable(path: str) -> str:
    """A path as it may stand in the log: cut, and without the key that some clients put there."""
    return KEY_PATTERN.sub(lambda key: key_prefix(key[0]) + "…", path[:MAX_LOGGED_CHARACTERS])


@lru_cache
def _each_once(vary: bytes) -> bytes:
    """A list header without repetitions: more than one middleware adds to Vary."""
    return b", ".join(dict.fromkeys(name.strip() for name in vary.split(b",")))


class Limits:
    """Middleware: refuses requests that are too large, before anything reads them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = _too_large(scope) if scope["type"] == "http" else None
        app = self._app if error is None else _refuse(Request(scope), error)
        await app(scope, receive, send)


def _too_large(scope: Scope) -> ApiError | None:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URI_BYTES:
        return UriTooLong()
    return PayloadTooLarge() if not length.isdigit() or int(length) > MAX_BODY_BYTES else None


class EndpointFirst:
    """Middleware: has the endpoint answer its path. Starlette's routing costs more than an answer from the cache."""

    def __init__(self, app: ASGIApp, endpoint: ASGIApp) -> None:
        self._app, self._endpoint = app, endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_asked = scope["type"] == "http" and scope["path"] == ENDPOINT
        await (self._endpoint if is_asked else self._app)(scope, receive, send)


def _refuse(request: Request, error: ApiError) -> Response:
    return respond(error, request.state.request_id)


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _refuse(request, error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refuse(request, of_framework(error.status_code, error.detail, dict(error.headers or {})))


async def _on_fault(request: Request, error: Exception) -> Response:
    log.error("request %s failed", request.state.request_id, exc_info=error)
    return _refuse(request, ApiError())


def _cors(origins: Sequence[str]) -> Middleware:
    """CORS for these origins, reading only."""
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD"],
        allow_headers=["Authorization", "If-None-Match"],
        expose_headers=EXPOSED_HEADERS,
    )


def create_app(
    reader: Reader,
    clock_ms: Callable[[], int],
    monotonic: Callable[[], float],
    cors_origins: Sequence[str] = (),
    reuse_seconds: float = REUSE_SECONDS,
    page_cells: int = PAGE_CELLS,
) -> ASGIApp:
    """The application on a reader and two clocks. Starts nothing and connects to nothing."""
    cache = AnswerCache(monotonic, reuse_seconds)
    threads = Threads()
    known = KnownKeys(partial(threads.run, reader.key_hashes), monotonic)
    authenticator = Authenticator(known, partial(threads.run, reader.account), monotonic)
    endpoint = MessageMetrics(reader, authenticator, clock_ms, cache, threads, page_cells)

    app = Starlette(
        routes=[*document_routes(), *dashboard_routes()],
        middleware=[
            *([_cors(cors_origins)] if cors_origins else []),
            Middleware(Limits),
            Middleware(EndpointFirst, endpoint),
        ],
        exception_handlers={ApiError: _on_api_error, HTTPException: _on_http_error, Exception: _on_fault},
    )
    # A path with a slash too many is another path; a redirect would lead clients astray.
    app.router.redirect_slashes = False
    return RequestLog(app)
