"""Bare Starlette under uvicorn: one route that sends the bytes of a file. ``python -m tests.bench.bare PORT FILE``."""

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def main() -> None:
    """Serve until killed."""
    body = Path(sys.argv[2]).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(body, media_type="application/json")

    app = Starlette(routes=[Route("/v1/metrics/messages", answer)])
    uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False, http="httptools", lifespan="off")


if __name__ == "__main__":
    main()
