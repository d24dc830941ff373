"""uvicorn's HTTP/1.1 protocol with limits: request deadline, stalled responses, head size, number of connections.

They bound slow client attacks. Refusals from here have the envelope of all others. The protocol leans on members of
uvicorn that are not documented; tests/unit/api/test_protocol.py names them.
"""

import asyncio
from typing import Any

from ulid import ULID
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import ApiError, BadRequest, HeadersTooLarge, RequestTimeout, Unavailable, failure
from api.security import HEADERS

NOT_HTTP = "not a valid HTTP request; percent-encode whatever is not plain ASCII in the request line"
REQUEST_SECONDS = 10.0
"""Longest time from the first byte of a request (or from connecting) to its last."""
ANSWER_STALL_SECONDS = 30.0
"""Longest time for which a client may take nothing of a response that is ready to be sent."""
MAX_HEAD_BYTES = 96 * 1024
"""Limit of a request line and headers that are still arriving; the parser itself has none."""
MAX_CONNECTIONS = 1000
REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Gathering:
    """A transport that gathers the writes of one turn of the event loop and sends them at once.

    uvicorn writes head and body separately: two system calls, and two wake-ups of the client. Sent as one, a cached
    answer takes an eighth less processor time.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the transport."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send with the next turn of the loop."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        """Send what was written, then close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        written, self._written = self._written, []
        if written:
            self._transport.write(b"".join(written))


class Protocol(HttpToolsProtocol):
    """One connection."""

    _request_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_head = False
    _is_in_request = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Gathering(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(Unavailable())
            return
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._request_timer, self._answer_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_request and self._request_timer is None:
            self._await_request()
        self._await_idleness()
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HeadersTooLarge())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_request, self._is_in_head, self._head_bytes = True, True, 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._await_no_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._answer_timer = self.loop.call_later(ANSWER_STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop(self._answer_timer)

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP request. uvicorn calls this with the parser's message."""
        self._refuse(BadRequest(message=NOT_HTTP))

    def _await_request(self) -> None:
        """Start the request deadline. A request that arrives in one read has been completed already and needs none."""
        self._request_timer = self.loop.call_later(REQUEST_SECONDS, self._request_overdue)

    def _await_idleness(self) -> None:
        """Restart the keep-alive timer after bytes that begin no request.

        uvicorn stops it at any byte, and a connection that sends a stray newline would stay open for ever.
        """
        is_answered = self.cycle is not None and self.cycle.response_complete and not self._is_in_request
        if is_answered and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _await_no_request(self) -> None:
        self._stop(self._request_timer)
        self._is_in_request, self._request_timer = False, None

    def _request_overdue(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(RequestTimeout())
        else:
            self.transport.abort()  # a response is under way already, and a second one must not follow

    def _refuse(self, error: ApiError) -> None:
        self._await_no_request()
        if self.transport.is_closing():
            return
        request_id = str(ULID())
        body = failure(error, request_id)
        headers = {
            **HEADERS,
            **error.headers,
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "X-Request-Id": request_id,
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"HTTP/1.1 {error.status} {REASONS[error.status]}\r\n{lines}\r\n".encode() + body)
        self.transport.close()

    @staticmethod
    def _stop(*timers: asyncio.TimerHandle | None) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()
