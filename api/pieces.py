"""Large answers, handed over piece by piece as the client takes them."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PIECE_BYTES = 64 * 1024


class InPieces:
    """Middleware: cuts a large body, and sends a piece once the client has taken most of those before (back-pressure).

    A transport copies what it cannot send at once, so that a script of 5 MB would be in memory once more for each of
    hundreds of connections that read it slowly. Of a piece it copies a piece.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_pieces(message: Message) -> None:
            if len(message.get("body", b"")) <= PIECE_BYTES:
                await send(message)
                return
            rest, has_more = memoryview(message["body"]), message.get("more_body", False)
            while rest:
                piece, rest = rest[:PIECE_BYTES], rest[PIECE_BYTES:]
                await send({**message, "body": piece, "more_body": has_more or bool(rest)})
                await asyncio.sleep(0)  # the turn in which gathered writes are sent: only then is it known what waits

        await self._app(scope, receive, send_in_pieces)
