"""Health and metrics of a worker over HTTP: /livez, /readyz (with the reasons), /metrics."""

from collections.abc import Callable

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


def admin_app(reasons: Callable[[], list[str]], registry: CollectorRegistry) -> Starlette:
    """The application; ``reasons`` says why the process is not ready, empty when it is."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        found = reasons()
        return JSONResponse({"ready": not found, "reasons": found}, status_code=503 if found else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])


class AdminServer(uvicorn.Server):
    """A server that leaves signals to the process it is part of."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        super().__init__(uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, lifespan="off"))

    def install_signal_handlers(self) -> None:
        """Signals belong to the process, not to this server."""
