"""uvicorn's HTTP/1.1 protocol with limits: request deadline, stalled responses, size of requests, connections.

They bound slow client attacks, and requests without end. Refusals from here have the envelope of all others. The
protocol leans on members of uvicorn that are not documented; tests/unit/api/test_protocol.py names them.

A message begins, has a head, mostly no body, and ends::

    bytes   CRLF* | request line, headers | body: chunk sizes, data, trailers | CRLF* ...
    timer     deadline of the request ............................| keep-alive
    counted ──────────────────────────────── all but the data ────► 0

The application reads no body. Data of one is dropped unseen, for as long as the deadline lets it arrive.
"""

import asyncio
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade
from ulid import ULID
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import ApiError, BadRequest, HeadersTooLarge, RequestTimeout, Unavailable, failure
from api.gathering import Gathering
from api.head import fault
from api.security import HEADERS

NOT_HTTP = "not a valid HTTP request; percent-encode whatever is not plain ASCII in the request line"
REQUEST_SECONDS = 10.0
"""Longest time from the first byte of a request (or from connecting) to its last."""
ANSWER_STALL_SECONDS = 30.0
"""Longest time for which a client may take nothing of a response that is ready to be sent."""
MAX_OVERHEAD_BYTES = 96 * 1024
"""Limit of all that is no data of a body, from the end of a message to the end of the next; the parser has none."""
MAX_FIELDS = 500
"""Limit of headers, and of trailers. Each takes some hundred bytes of memory, however short it is."""
PIECE_BYTES = 4 * 1024
"""The parser is fed so many bytes at once: limits are kept to within a piece, and few requests wait in a queue."""
MAX_CONNECTIONS = 1000
REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Protocol(HttpToolsProtocol):
    """One connection."""

    _request_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None
    _unparsed: bytes | memoryview = b""
    _overhead_bytes = 0
    _believed: tuple[str, list[tuple[bytes, bytes]], bool] | None = None
    _is_in_request = True
    _is_in_head = False
    _is_over = False
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Gathering(transport, self.loop, ANSWER_STALL_SECONDS))  # type: ignore[arg-type]
        self._idle_since = self.loop.time()
        self._await_request()
        if len(self.connections) > MAX_CONNECTIONS:
            idle = [each for each in cast("set[Protocol]", self.connections) if not each._is_answering]
            min(idle, key=lambda each: each._idle_since)._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._request_timer, self._answer_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return  # read and dropped: closing with bytes unread would take the answer back
        self._unparsed = memoryview(b"".join((self._unparsed, data)) if self._unparsed else data)
        self._parse()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what a client has sent before it closed its direction, then close ours."""
        if self._is_answering:
            self.cycle.keep_alive = False
        else:
            self.transport.close()
        return True  # asyncio would close before the turn in which gathered writes are sent

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._is_in_request = self._is_in_head = True

    def on_headers_complete(self) -> None:
        head = self.parser.get_http_version(), self.headers, self.parser.should_upgrade()
        if head != self._believed:
            if wrong := fault(*head):
                raise BadRequest(message=wrong)
            self._believed = head  # a client sends the same ones again and again
        super().on_headers_complete()
        self._unset_keepalive_if_required()  # armed again if an answer has ended since this message began
        if self.expect_100_continue:
            self.cycle.keep_alive = False  # refused without a word: whether its body comes is not known
        self.headers = []  # of trailers, which nobody sees
        self._is_in_head = False

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop(self._request_timer)
        self._is_in_request, self._request_timer, self._overhead_bytes = False, None, 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = self.loop.time()
        if self.pipeline:
            self.flow.pause_reading()
        if self._unparsed and not self.transport.is_closing():
            self._parse()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._answer_timer = self.loop.call_later(ANSWER_STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop(self._answer_timer)

    @property
    def _is_answering(self) -> bool:
        """Whether the last request whose head is complete waits for its answer, or for the end of it."""
        return self.cycle is not None and not self.cycle.response_complete

    def _parse(self) -> None:
        """Feed the parser until there are no more bytes, or a request waits for the answer to another."""
        while self._unparsed and not (self.flow.read_paused or self._is_over):
            piece = self._unparsed[:PIECE_BYTES]
            parsed = len(piece)
            self._overhead_bytes += parsed
            try:
                self.parser.feed_data(piece)
            except HttpParserUpgrade as upgrade:  # to a protocol that is not spoken here: more requests may follow
                parsed = upgrade.args[0]
            except HttpParserError as error:
                cause = error.__context__
                self._refuse(cause if isinstance(cause, ApiError) else BadRequest(message=NOT_HTTP))
            self._unparsed = self._unparsed[parsed:]
            if self._overhead_bytes > MAX_OVERHEAD_BYTES or len(self.headers or ()) > MAX_FIELDS:
                self._refuse(HeadersTooLarge())
        if self._is_in_request and self._request_timer is None:
            self._await_request()

    def _await_request(self) -> None:
        """Start the request deadline. A request that arrives in one read has been completed already and needs none."""
        self._request_timer = self.loop.call_later(REQUEST_SECONDS, self._request_overdue)

    def _request_overdue(self) -> None:
        if self.flow.read_paused:
            self._await_request()  # it is not the client that is slow
        else:
            self._refuse(RequestTimeout())

    def _make_room(self) -> None:
        """End this connection for a newer one."""
        self.connections.discard(self)  # at once: more than one may come before the loop's next turn
        self._refuse(Unavailable())
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _refuse(self, error: ApiError) -> None:
        """Take no more bytes: answer the message that is in its head, and close.

        Answers stay in the order of their requests, one for each. So one that is under way is the last, and a message
        that has its answer gets no second one.
        """
        if self._is_over or self.transport.is_closing():
            return
        self._is_over = True
        if self._is_answering:
            self.cycle.keep_alive = False
            return
        if self._is_in_head or self.cycle is None:
            self.transport.write(_refusal(error))
        self.transport.close()

    @staticmethod
    def _stop(*timers: asyncio.TimerHandle | None) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()


def _refusal(error: ApiError) -> bytes:
    """A whole response, for requests that do not reach the application."""
    request_id = str(ULID())
    body = failure(error, request_id)
    headers: dict[str, Any] = {
        **HEADERS,
        **error.headers,
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Request-Id": request_id,
        "Content-Length": len(body),
        "Connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {error.status} {REASONS[error.status]}\r\n{lines}\r\n".encode() + body
