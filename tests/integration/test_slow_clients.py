"""Clients that send or take their bytes one by one, or open connections by the hundred, while others are answered."""

import contextlib
import json
from collections.abc import Iterator

import httpx2
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

import api.protocol
from api.protocol import ANSWER_STALL_SECONDS, MAX_OVERHEAD_BYTES, REQUEST_SECONDS, Protocol
from api.security import HEADERS
from api.server import KEEP_ALIVE_SECONDS, Server
from tests.support.serving import connect_to, let_pass, serving, until

STEP_SECONDS = 1.0
LARGE = b"x" * 30_000_000


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once; a large body on /large."""
    await Response(LARGE if scope["path"] == "/large" else b"answer")(scope, receive, send)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with room for twenty connections."""
    monkeypatch.setattr(api.protocol, "MAX_CONNECTIONS", 20)
    with serving(app) as server:
        assert server.config.http is Protocol
        yield server


@pytest.fixture
def port(server: Server) -> int:
    return server.bound_port


def drip(server: Server, request: bytes, first: int) -> tuple[bytes, float]:
    """Send the first bytes, then one each second of the server, until closed: what came back, and after how many."""
    began = now = let_pass(server, 0)
    with connect_to(server.bound_port) as connection:
        connection.sendall(request[:first])
        connection.settimeout(0.02)
        found = b""
        for byte in request[first:]:
            now = let_pass(server, STEP_SECONDS)
            try:
                block = connection.recv(65_536)
            except TimeoutError:
                try:
                    connection.sendall(bytes([byte]))
                except OSError:
                    break
                continue
            except ConnectionResetError:  # closed while the byte before was on its way
                break
            if not block:
                break
            found += block
        return found, now - began


SLOW = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Slow: " + b"s" * 200
SLOW_BODY = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n" + b"b" * 200


@pytest.mark.parametrize("first", [0, 1, 20])
def test_a_request_that_trickles_in_is_refused_in_the_envelope(server: Server, first: int) -> None:
    found, seconds = drip(server, SLOW, first)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error"]["code"] == "REQUEST_TIMEOUT"
    assert all(f"{name}: {value}".encode() in head for name, value in HEADERS.items())
    assert REQUEST_SECONDS < seconds < 2 * REQUEST_SECONDS


def test_patience_counts_anew_for_each_request_of_a_connection(server: Server) -> None:
    with connect_to(server.bound_port) as connection:
        for _ in range(3):
            let_pass(server, 0.7 * REQUEST_SECONDS)  # idle between requests is the keep-alive's affair
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            found = b""
            while b"answer" not in found:
                block = connection.recv(65_536)
                assert block.startswith(b"HTTP/1.1 200") or found.startswith(b"HTTP/1.1 200")
                found += block


def test_a_body_that_trickles_in_does_not_hold_the_connection(server: Server) -> None:
    found, seconds = drip(server, SLOW_BODY, len(SLOW_BODY) - 150)
    assert b"answer" in found
    assert REQUEST_SECONDS < seconds < 2 * REQUEST_SECONDS


@pytest.mark.parametrize(
    ("request_", "more"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n", b"body"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n", b"other"),
    ],
    ids=["an empty line", "the body, after the answer", "another protocol"],
)
def test_what_comes_after_the_answer_and_begins_no_request_does_not_hold_the_connection(
    server: Server, request_: bytes, more: bytes
) -> None:
    with connect_to(server.bound_port) as connection:
        connection.sendall(request_)
        assert b"answer" in connection.recv(65_536)
        connection.sendall(more)
        let_pass(server, REQUEST_SECONDS + KEEP_ALIVE_SECONDS)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65_536):  # a refusal perhaps; and a timeout is a connection that was held
                pass


@pytest.mark.parametrize(
    "first", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["from the first", "after an answer"]
)
def test_empty_lines_again_and_again_hold_no_connection(server: Server, first: bytes) -> None:
    found, seconds = drip(server, first + b"\r\n" * 200, len(first))
    assert found.count(b"answer") == (1 if first else 0)
    assert seconds < 2 * max(REQUEST_SECONDS, KEEP_ALIVE_SECONDS)


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(server: Server) -> None:
    with connect_to(server.bound_port) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        taken = len(connection.recv(1))

        def is_cut_off() -> bool:
            let_pass(server, ANSWER_STALL_SECONDS)
            return not server.server_state.connections

        until(is_cut_off)
        try:
            while block := connection.recv(1 << 20):
                taken += len(block)
        except ConnectionResetError:
            pass
    assert 0 < taken < len(LARGE)


@pytest.mark.parametrize("header", [b"X-Endless: " + b"x" * 70_000, b"\r\n".join(b"X-%d: 1" % n for n in range(7_000))])
def test_headers_without_end_are_refused_in_the_envelope_and_not_collected(port: int, header: bytes) -> None:
    with connect_to(port) as connection:
        sent, found = 0, b""
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        connection.settimeout(0.05)
        while not found and sent < 4 * MAX_OVERHEAD_BYTES:
            connection.sendall(header[:32_768])
            sent += 32_768
            with contextlib.suppress(TimeoutError):
                found = connection.recv(65_536)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["error"]["code"] == "HEADERS_TOO_LARGE"
    assert sent <= MAX_OVERHEAD_BYTES + 65_536


def test_many_headers_that_are_no_attack_pass(port: int) -> None:
    header = b"Cookie: " + b"c" * 60_000
    with connect_to(port) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")
            found = connection.recv(65_536)
            while b"answer" not in found:
                found += connection.recv(65_536)
            assert found.startswith(b"HTTP/1.1 200 ")


def test_a_hundred_slow_connections_leave_the_server_answering(port: int) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect_to(port)) for _ in range(100)]
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(5):
            assert httpx2.get(f"http://127.0.0.1:{port}/").status_code == 200
        assert {connection.recv(65_536).split()[1] for connection in slow[:80]} == {b"503"}


def test_when_there_is_no_room_the_longest_idle_connection_goes(port: int) -> None:
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect_to(port)) for _ in range(20)]
        for connection in reversed(connections):  # so that the last has been idle for longest
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65_536).endswith(b"answer")
        connections[-1].sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connections[-1].recv(12) == b"HTTP/1.1 200"
        newest = stack.enter_context(connect_to(port))
        newest.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert newest.recv(65_536).endswith(b"answer")
        assert connections[-2].recv(65_536) == b"", "closed without an answer to nothing"
        for connection in connections[:-2]:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65_536).endswith(b"answer")
