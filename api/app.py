"""The ASGI application: routes, the error envelope, limits, request ids and the access log."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from api import metrics
from api.answers import REUSE_SECONDS, Answers
from api.auth import Authenticator
from api.endpoint import GZIP_FROM_BYTES, GZIP_LEVEL, Metrics
from api.errors import ApiError, PayloadTooLarge, UriTooLong, of_framework
from api.openapi import openapi
from api.pages import dashboard_routes
from api.params import REMEMBERED_BYTES
from api.reader import Reader
from api.render import failure
from api.security import SecurityHeaders, policy_for_page
from api.sharing import Shared
from schemas.api_key import KEY_PATTERN, key_prefix

log = logging.getLogger(__name__)
access = logging.getLogger("api.access")

MAX_URI_BYTES = 32 * 1024
MAX_BODY_BYTES = 8 * 1024
MAX_LOGGED_CHARACTERS = 256
NOT_PLAIN = frozenset({"content-length", "transfer-encoding"})
EXPOSED_HEADERS = ["ETag", "X-Request-Id", "X-Next-Cursor", "X-As-Of", "X-Granularities", "Retry-After"]


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
                headers = [(n, _each_once(v) if n == b"vary" else v) for n, v in message["headers"]]
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
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
    """A path as it may stand in the log: anybody may send any, in any length, and some put their key there."""
    return KEY_PATTERN.sub(lambda key: key_prefix(key[0]) + "…", path[:MAX_LOGGED_CHARACTERS])


@lru_cache
def _each_once(vary: bytes) -> bytes:
    """A list header without repetitions: more than one layer adds to Vary."""
    return b", ".join(dict.fromkeys(name.strip() for name in vary.split(b",")))


def _too_large(scope: Scope) -> ApiError | None:
    """What is too large about a request to be meant, before anything looks at it."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URI_BYTES:
        return UriTooLong()
    return PayloadTooLarge() if not length.isdigit() or int(length) > MAX_BODY_BYTES else None


class Compressed:
    """Packs what is large, except answers of the endpoint, which come packed: once for all who ask the same."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._packing = GZipMiddleware(app, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_packed = scope["type"] == "http" and scope["path"] == metrics.ENDPOINT
        await (self._plain if is_packed else self._packing)(scope, receive, send)


class Repeats:
    """Gives what is kept to whoever asks again, before the framework, which costs more than that, looks at it.

    Only the plainest requests: everything that is special or wrong is left to the framework.
    """

    def __init__(self, app: ASGIApp, resource: Metrics) -> None:
        self._app, self._resource = app, resource

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._kept(scope) if scope["type"] == "http" and scope["path"] == metrics.ENDPOINT else None
        await (self._app if response is None else response)(scope, receive, send)

    def _kept(self, scope: Scope) -> Response | None:
        if scope["method"] != "GET" or len(scope["query_string"]) > REMEMBERED_BYTES:
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        if not NOT_PLAIN.isdisjoint(headers):
            return None
        try:
            return self._resource.kept(scope, headers)
        except Exception:  # it will be met again on the ordinary way, which has words for it
            return None


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
    return _respond(request, of_framework(error.status_code, error.detail, dict(error.headers or {})))


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
    reader: Reader,
    clock_ms: Callable[[], int],
    monotonic: Callable[[], float],
    cors_origins: Sequence[str] = (),
    reuse_seconds: float = REUSE_SECONDS,
) -> ASGIApp:
    """The application on a reader and two clocks. Starts nothing and connects to nothing."""
    shared = Shared(Answers(reuse_seconds), monotonic)
    resource = Metrics(reader, Authenticator(reader.account, monotonic), clock_ms, shared)

    async def event_schema(_: Request) -> Response:
        body = (files("schemas") / "published" / "message-event.schema.json").read_bytes()
        return Response(body, media_type="application/schema+json")

    async def document(_: Request) -> Response:
        return Response(msgspec.json.encode(openapi()), media_type="application/json")

    async def docs(_: Request) -> Response:
        from offapi import OpenAPITemplate  # megabytes of scripts, read when somebody asks for them

        page = OpenAPITemplate.SWAGGER.value.format(spec_url="/openapi.json")
        return HTMLResponse(page, headers={"Content-Security-Policy": policy_for_page(page)})

    middleware = [
        Middleware(Limits),
        Middleware(Compressed),
    ]
    if cors_origins:
        middleware.insert(0, _cors(cors_origins))
    app = Starlette(
        routes=[
            Route(metrics.ENDPOINT, resource.get, methods=["GET"]),
            Route("/openapi.json", document, methods=["GET"]),
            Route("/docs", docs, methods=["GET"]),
            Route("/schemas/message-event.json", event_schema, methods=["GET"]),
            *dashboard_routes(),
        ],
        middleware=middleware,
        exception_handlers={ApiError: _on_api_error, HTTPException: _on_http_error, Exception: _on_fault},
    )
    app.router.redirect_slashes = (
        False  # a path with a slash too many is another path, and a redirect would lead astray
    )
    # With CORS every answer differs by origin, which is the framework's to say.
    return Envelope(SecurityHeaders(app) if cors_origins else Repeats(SecurityHeaders(app), resource))
