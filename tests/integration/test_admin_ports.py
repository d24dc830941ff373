"""Strangers at the admin ports, the API's and a worker's: bytes that have no end, and connections that have none."""

import contextlib
import logging
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from prometheus_client import CollectorRegistry

import schemas.admin_port
from api.server import admin_server
from pipeline.worker.admin import AdminServer, admin_app
from pipeline.worker.operations import Operations
from schemas.admin_port import CONNECTION_SECONDS, MAX_CONNECTIONS
from schemas.settings import read_settings
from tests.support.serving import connect_to, flood, let_pass, read_all, running, statuses, until

LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOOD_BYTES = 20_000_000


class Nothing:
    """Operations of which there are none."""

    def now(self) -> dict[str, Any]:
        return {}

    def stored(self) -> dict[str, Any]:
        return {}


@pytest.fixture(params=["worker", "api"], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[uvicorn.Server]:
    if request.param == "worker":
        server: Any = AdminServer(admin_app(list, CollectorRegistry(), cast("Operations", Nothing())), "127.0.0.1", 0)
    else:
        server = admin_server(read_settings({"MSGMETRICS_ADMIN_HOST": "127.0.0.1"}))
        server.config.port = 0
    with running(server):
        yield server


@pytest.fixture
def port(server: uvicorn.Server) -> int:
    return port_of(server)


def port_of(server: uvicorn.Server) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])


def ask(port: int, request: bytes) -> bytes:
    with connect_to(port) as connection:
        connection.sendall(request)
        return read_all(connection)


def read_once(connection: socket.socket) -> bytes:
    """What has come; nothing where the connection has ended."""
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def resident() -> int:
    """Memory of this process, which is the servers' as well; in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("request_", [LIVE + b"\r\n", b"GET /livez HTTP/1.0\r\n\r\n", b"HEAD" + LIVE[3:] + b"\r\n"])
def test_a_probe_is_answered_and_its_connection_closed(port: int, request_: bytes) -> None:
    answer = ask(port, request_)
    assert statuses(answer) == [200]
    assert re.search(rb"\r\nconnection: close\r\n", answer, re.IGNORECASE)
    assert b"uvicorn" not in answer


def test_a_request_for_another_protocol_is_answered_in_this_one(port: int) -> None:
    assert statuses(ask(port, LIVE + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")) == [200]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /livez HTTP/1.1\r\n\r\n",
        LIVE + b"Host: x\r\n\r\n",
        LIVE + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        LIVE + b"Transfer-Encoding: gzip\r\n\r\n",
        LIVE + b"A: b\0c\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
    ids=["no Host", "two Hosts", "two lengths", "another coding", "NUL", "HTTP/0.9", "TLS"],
)
def test_what_is_no_request_is_refused(port: int, request_: bytes) -> None:
    answer = ask(port, request_)
    assert 400 <= statuses(answer)[0] < 600
    assert len(statuses(answer)) == 1


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (CHUNKED + b"0\r\n", b"a:\r\n" * 1024),
        (CHUNKED + b"1;a=", b"b" * 4096),
        (CHUNKED, b"1\r\nx\r\n" * 700),
        (LIVE, b"a:\r\n" * 1024),
        (LIVE + b"A: ", b"b" * 4096),
        (b"", b"\r\n" * 2048),
    ],
    ids=["trailers", "an extension", "tiny chunks", "headers", "a header", "empty lines"],
)
def test_whatever_has_no_end_is_cut_off_and_kept_nowhere(port: int, begin: bytes, more: bytes) -> None:
    before = resident()
    with connect_to(port) as connection:
        connection.sendall(begin)
        ended = flood(connection, more, FLOOD_BYTES)
    assert ended.sent < FLOOD_BYTES
    assert resident() - before < FLOOD_BYTES / 4
    assert len(statuses(ended.answer)) <= 1


def test_a_body_that_breaks_off_is_no_fault_of_ours(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = ask(port, CHUNKED + b"no chunk\r\n")
    assert statuses(answer) in ([], [200])
    assert caplog.records == []


@pytest.mark.parametrize("first", [b"", b"G", LIVE, CHUNKED[:-2]])
def test_a_connection_has_an_end_whatever_it_does(server: uvicorn.Server, first: bytes) -> None:
    with connect_to(port_of(server)) as connection:
        connection.sendall(first)
        connection.settimeout(0.02)
        for _ in range(10):
            let_pass(server, CONNECTION_SECONDS / 5)
            with contextlib.suppress(TimeoutError):
                if not read_once(connection):
                    break
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"b" if first else b"")
        else:
            pytest.fail("it is held")


def test_connections_in_any_number_leave_room_for_a_probe(port: int) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect_to(port)) for _ in range(3 * MAX_CONNECTIONS)]
        for _ in range(5):
            assert statuses(ask(port, LIVE + b"\r\n")) == [200]
        assert {read_all(connection) for connection in idle[:MAX_CONNECTIONS]} == {b""}, "the oldest have gone"


def test_requests_that_are_answered_at_once_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Nothing):
        def stored(self) -> dict[str, Any]:
            assert go_on.wait(10)
            return {}

    monkeypatch.setattr(schemas.admin_port, "MAX_REQUESTS", 3)
    go_on, page = threading.Event(), b"GET /operations.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    server = AdminServer(admin_app(list, CollectorRegistry(), cast("Operations", Slow())), "127.0.0.1", 0)
    with running(server), contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(connect_to(port_of(server))) for _ in range(2)]
        for connection in waiting:
            connection.sendall(page)
        until(lambda: len(server.server_state.tasks) == 2)
        assert statuses(ask(port_of(server), LIVE + b"\r\n")) == [503]
        go_on.set()
        assert [statuses(read_all(connection)) for connection in waiting] == [[200], [200]]
