"""The API's server, and on a port of its own its health and metrics."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from api.app import create_app
from api.errors import ApiError
from api.metrics import READY, REGISTRY
from api.pieces import InPieces
from api.protocol import Protocol
from api.reader import Reader
from schemas.admin_port import GRACE_SECONDS, admin_config
from schemas.instant import wall_clock_ms
from schemas.settings import API_ADMIN_PORT, Settings

KEEP_ALIVE_SECONDS = 15


class Server(uvicorn.Server):
    """uvicorn's server. It leaves signals to the process it is part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none: uvicorn would raise them again when it has ended, and a second one means more than the first."""
        yield

    @property
    def bound_port(self) -> int:
        """The port, once it has started."""
        return int(self.servers[0].sockets[0].getsockname()[1])


def public_server(app: ASGIApp, host: str, port: int) -> Server:
    """A server for strangers, with the limits of ``Protocol``."""
    config = uvicorn.Config(
        InPieces(app),
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Server(config)


def api_server(settings: Settings) -> Server:
    """The API itself."""
    app = create_app(Reader(settings.clickhouse), wall_clock_ms, time.monotonic, settings.api_cors_origins)
    return public_server(app, settings.api_host, settings.api_port)


def admin_server(settings: Settings) -> Server:
    """/livez, /readyz (ready once ClickHouse has answered this process) and /metrics.

    A process with a wrong password is never ready, so that a new version with one replaces nothing. One that has been
    ready stays so: an outage of ClickHouse concerns all at once, and clients get a 503 that says when to come again,
    rather than nobody to ask.
    """
    reader = Reader(settings.clickhouse)
    has_answered = False

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def answers() -> bool:
        nonlocal has_answered
        try:
            await asyncio.to_thread(reader.as_of_ms)
        except ApiError:
            return False
        has_answered = True
        return True

    async def readyz(_: Request) -> Response:
        if not (has_answered or await answers()):
            return JSONResponse({"ready": False, "reasons": ["ClickHouse has not answered this process yet"]}, 503)
        return JSONResponse({"ready": True, "reasons": []})

    async def metrics(_: Request) -> Response:
        READY.set(await answers())
        return Response(generate_latest(REGISTRY), media_type="text/plain; version=0.0.4")

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
    return Server(admin_config(Starlette(routes=routes), settings.admin_host, settings.admin_port or API_ADMIN_PORT))


async def serve_all(servers: list[Server], stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set. Raises what ended a server before that."""
    tasks = [asyncio.create_task(server.serve()) for server in servers]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    was_told = stop.is_set()
    for server in servers:
        server.should_exit = True
    done, _ = await asyncio.wait(tasks, timeout=GRACE_SECONDS + 1)
    for task in done:
        task.result()
    if not was_told:
        raise RuntimeError("a server ended by itself")


def serve(settings: Settings, listen: Callable[[asyncio.Event], None]) -> None:
    """Run the API process until ``listen``, called in its event loop, sets the event it is given (on signals)."""

    async def main() -> None:
        gc.freeze()  # objects made until here live to the end; scanning them again would delay answers
        stop = asyncio.Event()
        listen(stop)
        await serve_all([api_server(settings), admin_server(settings)], stop)

    asyncio.run(main())
