"""A worker over HTTP, for those who run it: /livez, /readyz (with the reasons), /metrics, and a page at /."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

import msgspec
import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.worker.operations import Operations
from schemas.admin_port import admin_config

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PAGE = "index.html"
MISDIRECTED = (
    "this page is for addresses and names without a dot, like 127.0.0.1 or localhost: use a tunnel to reach it\n"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def is_asked_here(host: str) -> bool:
    """Whether a Host header is an IP address or a name without a dot: the guard against DNS rebinding.

    The page shows records. A stranger's site that is open in an operator's browser can have its own name point here,
    and would then read them as its own; but its requests always carry that name, which has a dot.
    """
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 else host
    try:
        ipaddress.ip_address(name.partition("]")[0].lstrip("["))
    except ValueError:
        return "." not in name
    return True


def _for_people(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Wrap an endpoint: answer 421 unless ``is_asked_here``."""

    async def guarded(request: Request) -> Response:
        if not is_asked_here(request.headers.get("host", "")):
            return PlainTextResponse(MISDIRECTED, 421, headers=HEADERS)
        return await answer(request)

    return guarded


@cache
def _page_files() -> Mapping[str, tuple[bytes, str]]:
    """The page's few files with their media types; read once."""
    folder = files("pipeline.worker") / "operations_page"
    kinds = {file.name: MEDIA_TYPES.get(PurePosixPath(file.name).suffix) for file in folder.iterdir()}
    return {name: ((folder / name).read_bytes(), kind) for name, kind in kinds.items() if kind}


@_for_people
async def _page_file(request: Request) -> Response:
    name = request.path_params.get("name", PAGE)
    if name not in _page_files():
        raise HTTPException(404)
    body, kind = _page_files()[name]
    return Response(body, media_type=kind, headers=HEADERS)


def admin_app(reasons: Callable[[], list[str]], registry: CollectorRegistry, operations: Operations) -> Starlette:
    """The application; ``reasons`` says why the process is not ready, empty when it is."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        found = reasons()
        return JSONResponse({"ready": not found, "reasons": found}, status_code=503 if found else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    @_for_people
    async def operations_json(_: Request) -> Response:
        found = operations.now() | await asyncio.to_thread(operations.stored)
        return Response(msgspec.json.encode(found), media_type="application/json", headers=HEADERS)

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/operations.json", operations_json),
            Route("/", _page_file),
            Route("/page/{name}", _page_file),
        ]
    )


class AdminServer(uvicorn.Server):
    """A server that leaves signals to the process it is part of."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        super().__init__(admin_config(app, host, port))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none: uvicorn would stop this server at once, and health is asked for until the worker has left."""
        yield
