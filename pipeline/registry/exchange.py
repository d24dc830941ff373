"""One question to a schema registry over HTTP, and its answer: bounded in time and size, whatever the server does.

Every question has a connection of its own. Schemas are asked for once each, and a connection that was kept would fail
now and then because the server has just closed it. No redirect is followed, no proxy is used, nothing is repeated.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from dataclasses import dataclass
from types import TracebackType

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.exceptions import TimeoutError as HTTPTimeout
from urllib3.response import HTTPResponse

from pipeline.registry.errors import Away, Refuses, quoted
from schemas.registry_access import CAFILE_SETTING, URL_SETTING, Access

OK = 200
ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"
_PIECE_BYTES = 65_536
_BROKEN = (HTTPError, http.client.HTTPException, OSError)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one question. ``total_seconds`` counts from the first packet to the last byte of the answer.

    Connecting takes at most ``connect_seconds`` for each address of the host, and again as long for TLS.
    """

    connect_seconds: float = 3.0
    read_seconds: float = 5.0
    total_seconds: float = 10.0
    answer_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came. ``body`` is None if it is larger than the limit; that of an error may be cut."""

    status: int
    body: bytes | None
    location: str = ""
    encoding: str = ""
    media_type: str = ""


class _Deadline:
    """Ends a connection when its time is over, whatever it is at.

    Timeouts of sockets count from the last byte, so a server that sends a byte a second, of its headers even, would
    hold the caller for hours.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()

    def watch(self, connected: socket.socket | None) -> None:
        self._socket = connected
        self.check()

    def check(self) -> None:
        """Raise TimeoutError if time is over: a connection that was ended may look like a complete answer."""
        if self.is_over:
            raise TimeoutError

    def _end(self) -> None:
        self.is_over = True
        if self._socket:
            with contextlib.suppress(OSError):  # it is closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # TLS' own would get in its reader's way


def ask(access: Access, path: str, limits: Limits) -> Answer:
    """GET a path below the registry's URL. Raises Away, and Refuses for a CA file that cannot be read."""
    context = _context(access) if access.is_secure else None
    deadline = _Deadline(limits.total_seconds)
    try:
        with deadline:
            return _exchange(access, path, limits, context, deadline)
    except _BROKEN as error:
        if deadline.is_over:
            why = f"{access.name} has not answered in full within {limits.total_seconds:g} s"
            raise Away(why, "it is asked again") from None
        raise _away(access, error) from None


def _exchange(access: Access, path: str, limits: Limits, context: ssl.SSLContext | None, deadline: _Deadline) -> Answer:
    connection = _connection(access, context, limits.connect_seconds)
    try:
        connection.connect()
        deadline.watch(connection.sock)
        connection.timeout = limits.read_seconds
        headers = {"Accept": ACCEPT, "Accept-Encoding": "identity", "Connection": "close", "User-Agent": "msgmetrics"}
        if access.authorization:
            headers["Authorization"] = access.authorization
        connection.request("GET", access.path + path, headers=headers, preload_content=False, decode_content=False)
        with contextlib.closing(connection.getresponse()) as response:
            body = _body(response, limits.answer_bytes)
            if response.status == OK:
                deadline.check()
            text = response.headers
            return Answer(
                response.status,
                body,
                text.get("Location", ""),
                text.get("Content-Encoding", ""),
                text.get("Content-Type", ""),
            )
    finally:
        connection.close()


def _connection(access: Access, context: ssl.SSLContext | None, seconds: float) -> HTTPConnection:
    if context is None:
        return HTTPConnection(access.host, access.port, timeout=seconds)
    return HTTPSConnection(access.host, access.port, timeout=seconds, ssl_context=context)


def _context(access: Access) -> ssl.SSLContext:
    """Made for every question, so that a file that was replaced is believed from then on."""
    try:
        return ssl.create_default_context(cafile=access.cafile or None)
    except OSError as error:  # of TLS too
        why = f"the authorities of {access.name} cannot be read from {access.cafile}: {error.strerror or 'no PEM file'}"
        raise Refuses(why, f"set {CAFILE_SETTING} to a file of certificates in PEM") from None


def _body(response: HTTPResponse, most: int) -> bytes | None:
    """The body as it was sent, never decompressed. An error's is only told, so what there is of it will do."""
    body = bytearray()
    try:
        while piece := response.read(min(_PIECE_BYTES, most + 1 - len(body)), decode_content=False):
            body += piece
            if len(body) > most:
                return None
    except _BROKEN:
        if response.status == OK:
            raise
    return bytes(body)


def _away(access: Access, error: Exception) -> Away:
    """The library's errors in our words: its own repeat headers and addresses of objects."""
    match error:
        case NameResolutionError():
            return Away(f"{access.name} is not found: its host has no address", f"check {URL_SETTING}")
        case NewConnectionError(__cause__=OSError(strerror=reason)):
            return Away(f"{access.name} cannot be reached: {reason}", f"check {URL_SETTING}, and whether it runs")
        case ssl.SSLCertVerificationError():
            why = f"{access.name} has a certificate that is not trusted: {quoted(access, error.verify_message)}"
            return Away(why, f"set {CAFILE_SETTING} to its authority, and check {URL_SETTING}")
        case ssl.SSLError():
            why = f"{access.name} cannot be asked over TLS: {quoted(access, error.reason or 'it broke off')}"
            return Away(why, f"check {URL_SETTING}: is it https?")
        case HTTPTimeout() | TimeoutError():
            return Away(f"{access.name} does not answer in time", f"it is asked again; check {URL_SETTING}")
    why = f"{access.name} breaks off its answers, or they are no HTTP ({type(error).__name__})"
    return Away(why, f"it is asked again; check {URL_SETTING}")
