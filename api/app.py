"""The ASGI application: routes, the error envelope, limits, request ids and the access log."""

import logging
import time
from collections.abc import Callable, Sequence
from importlib.resources import files

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from api.auth import Authenticator
from api.errors import CODES, ApiError, PayloadTooLarge, UriTooLong
from api.reader import Reader
from api.render import failure
from api.routes import Metrics

log = logging.getLogger(__name__)
access = logging.getLogger("api.access")

MAX_URI_BYTES = 32 * 1024
MAX_BODY_BYTES = 8 * 1024
GZIP_FROM_BYTES, GZIP_LEVEL = 1024, 4
EXPOSED_HEADERS = ["ETag", "X-Request-Id", "X-Next-Cursor", "X-As-Of", "Retry-After"]

REGISTRY = CollectorRegistry()
REQUESTS = Counter("msgmetrics_api_requests", "Requests by status", ["status"], registry=REGISTRY)
SECONDS = Histogram("msgmetrics_api_request_seconds", "Time to answer a request", registry=REGISTRY)


class Envelope:
    """Gives every answer a request id and writes one line per request. Never logs a key beyond its prefix."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began, status = str(ULID()), time.perf_counter(), 500
        scope.setdefault("state", {})["request_id"] = request_id
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"x-request-id"]

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._log(scope, status, time.perf_counter() - began)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        REQUESTS.labels(str(status)).inc()
        SECONDS.observe(seconds)
        caller = scope["state"].get("caller")
        line = {
            "request_id": scope["state"]["request_id"],
            "method": scope["method"],
            "route": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 2),
            "org_id": getattr(caller, "org_id", None),
            "key_prefix": getattr(caller, "key_prefix", None),
            "buckets": scope["state"].get("buckets"),
            "as_of_lag_ms": scope["state"].get("as_of_lag_ms"),
        }
        access.info(msgspec.json.encode(line).decode())


def _too_large(scope: Scope) -> ApiError | None:
    """What is too large about a request to be meant, before anything looks at it."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URI_BYTES:
        return UriTooLong()
    return PayloadTooLarge() if not length.isdigit() or int(length) > MAX_BODY_BYTES else None


class Limits:
    """Refuses requests that are too large."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = _too_large(scope) if scope["type"] == "http" else None
        app = self._app if error is None else _respond(Request(scope), error)
        await app(scope, receive, send)


def _respond(request: Request, error: ApiError) -> Response:
    headers = {"Cache-Control": "no-store", **error.headers}
    body = failure(error, request.state.request_id)
    return Response(body, error.status, headers=headers, media_type="application/json")


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _respond(request, error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refused = ApiError(message=error.detail.lower())
    refused.status, refused.code = error.status_code, CODES.get(error.status_code, "BAD_REQUEST")
    refused.headers = dict(error.headers or {})
    return _respond(request, refused)


async def _on_fault(request: Request, error: Exception) -> Response:
    log.error("request %s failed", request.state.request_id, exc_info=error)
    return _respond(request, ApiError())


def _cors(origins: Sequence[str]) -> Middleware:
    """Browsers of these origins may read; without origins there is no CORS at all."""
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD"],
        allow_headers=["Authorization", "If-None-Match"],
        expose_headers=EXPOSED_HEADERS,
    )


def create_app(
    reader: Reader, clock_ms: Callable[[], int], monotonic: Callable[[], float], cors_origins: Sequence[str] = ()
) -> ASGIApp:
    """The application on a reader and two clocks. Starts nothing and connects to nothing."""
    metrics = Metrics(reader, Authenticator(reader.account, monotonic), clock_ms)

    async def event_schema(_: Request) -> Response:
        body = (files("schemas") / "published" / "message-event.schema.json").read_bytes()
        return Response(body, media_type="application/schema+json")

    middleware = [
        Middleware(Limits),
        Middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL),
    ]
    if cors_origins:
        middleware.insert(0, _cors(cors_origins))
    app = Starlette(
        routes=[
            Route("/v1/metrics/messages", metrics.get, methods=["GET"]),
            Route("/schemas/message-event.json", event_schema, methods=["GET"]),
        ],
        middleware=middleware,
        exception_handlers={ApiError: _on_api_error, HTTPException: _on_http_error, Exception: _on_fault},
    )
    return Envelope(app)
