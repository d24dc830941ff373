"""Limits of an admin port: health, metrics and the operations page, for whoever reaches it.

uvicorn has two parsers. This one, h11, is slower, and by itself wants one Host and takes at most 16 KiB of a head, a
chunk's line or trailers. It has no deadline and no limit of connections; both are here. The protocol leans on members
of uvicorn that are not documented; tests/unit/schemas/test_admin_port.py names them.
"""

import asyncio
from typing import cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTION_SECONDS = 30.0
"""Longest life of a connection, which is for one request, from its first byte to the last byte of the answer."""
MAX_CONNECTIONS = 64
MAX_REQUESTS = 200
"""Requests under way, with those whose connections have ended meanwhile."""
GRACE_SECONDS = 5


class AdminProtocol(H11Protocol):
    """One connection."""

    _end: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(CONNECTION_SECONDS, transport.abort)
        if len(self.connections) > MAX_CONNECTIONS:
            oldest = min(cast("set[AdminProtocol]", self.connections), key=lambda each: each._end.when())
            oldest.connections.discard(oldest)  # at once: more than one may come before the loop's next turn
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP request. Behind a head that had been one there is only the end.

        uvicorn would answer twice, which h11 does not allow: two tracebacks in the log.
        """
        if self.cycle is None:
            super().send_400_response(msg)
        else:
            self.cycle.disconnected = True
            self.transport.close()


def admin_config(app: ASGIApp, host: str, port: int) -> uvicorn.Config:
    """The configuration of an admin port's server. A connection is closed with its answer, so that none is idle."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=AdminProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        headers=[("Connection", "close")],
        limit_concurrency=MAX_REQUESTS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
