"""The API's server in a thread of the test, with an application of the test's own, and clients that write bytes."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.protocol import Protocol
from api.server import Server, public_server


@contextmanager
def serving(app: ASGIApp) -> Iterator[Server]:
    """The API's server with another application, on a port of its own."""
    with running(server := public_server(app, "127.0.0.1", 0)):
        yield server


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be moved on."""

    ahead = 0.0

    def time(self) -> float:
        """The time by which all its timers go."""
        return super().time() + self.ahead


@contextmanager
def running(server: uvicorn.Server) -> Iterator[None]:
    """Run a server in a thread, from when it listens on."""

    def run() -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(server.serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()


def let_pass(server: uvicorn.Server, seconds: float) -> float:
    """Move the clock of a running server on, when it has read what was sent to it; what is due then has been done.
    Returns what it shows.

    A test that waits in real time for a deadline hopes to be quick enough itself wherever nothing may be overdue yet.
    """
    loop = cast("Loop", server.servers[0].get_loop())

    async def move() -> float:
        await asyncio.sleep(0)
        loop.ahead += seconds
        await asyncio.sleep(1e-6)  # behind all that is due
        return loop.time()

    return asyncio.run_coroutine_threadsafe(move(), loop).result(10)


class Site:
    """An application that answers with path and headers; on /held not before it is released, each time anew.

    It notes how many requests were held, and how many waited in a queue behind another.
    """

    def __init__(self) -> None:
        self.server: Server
        self.held = 0
        self.longest_queue = 0
        self._released = asyncio.Event()
        self._released.set()
        self._loop: asyncio.AbstractEventLoop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.longest_queue = max(self.longest_queue, *(len(each.pipeline) for each in self.connections))
        if scope["path"].startswith("/held"):
            if self._released.is_set():
                self._loop, self._released = asyncio.get_running_loop(), asyncio.Event()
            self.held += 1
            await self._released.wait()
        headers = sorted(name.decode() for name, _ in scope["headers"])
        await JSONResponse({"path": scope["path"], "headers": headers})(scope, receive, send)

    @property
    def connections(self) -> set[Protocol]:
        """All that are open."""
        return cast("set[Protocol]", self.server.server_state.connections)

    def release(self) -> None:
        """Answer what is held."""
        self._loop.call_soon_threadsafe(self._released.set)


def connect_to(port: int) -> socket.socket:
    """A connection, whose calls take ten seconds at most."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    """Whatever comes until the server closes, gracefully or not."""
    found = bytearray()
    try:
        while block := connection.recv(1 << 20):
            found += block
    except ConnectionResetError:
        pass
    return bytes(found)


@dataclass(frozen=True, slots=True)
class Flood:
    """How an endless request ended: bytes that the client could send, and what it got."""

    sent: int
    answer: bytes


def flood(connection: socket.socket, block: bytes, most: int) -> Flood:
    """Send a block again and again, until the server has closed or ``most`` bytes are sent; then read to the end."""
    sent = 0
    try:
        while sent < most:
            sent += connection.send(block)
    except (ConnectionResetError, BrokenPipeError):
        pass
    return Flood(sent, read_all(connection))


def until(condition: Callable[[], bool]) -> None:
    """Wait for at most ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ask(site: Site, request: bytes) -> bytes:
    """Send the request and read until the server closes."""
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(request)
        return read_all(connection)


def statuses(answer: bytes) -> list[int]:
    """Of all responses in these bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def paths(answer: bytes) -> list[str]:
    """Of the requests that a ``Site`` answered in these bytes."""
    return [path.decode() for path in re.findall(rb'"path":"([^"]*)"', answer)]
