"""Clients that take a large answer slowly or not at all, by the dozen: how much of it waits for them in memory."""

import contextlib
from typing import cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.pieces import PIECE_BYTES
from api.protocol import Protocol
from api.server import Server
from tests.support.serving import connect_to, read_all, serving, until

LARGE = b"".join(b"%07d\n" % number for number in range(1_500_000))
"""Larger than what the kernel takes of an answer for a client that reads nothing."""
READERS = 12


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what is large, or with the path."""
    await Response(LARGE if scope["path"] == "/large" else scope["path"])(scope, receive, send)


def connections(server: Server) -> list[Protocol]:
    return list(cast("set[Protocol]", server.server_state.connections))


def test_of_a_large_answer_no_more_than_pieces_wait_for_each_of_its_readers() -> None:
    with serving(app) as server, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(connect_to(server.bound_port)) for _ in range(READERS)]
        for reader in readers:
            reader.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: sum(each.flow.write_paused for each in connections(server)) == READERS)
        waiting = [each.transport.get_write_buffer_size() for each in connections(server)]
        assert max(waiting) <= 2 * PIECE_BYTES + 1000, "what waits when the last piece is handed over, and its head"


def test_all_of_it_arrives_once_and_what_was_asked_next_comes_behind_it() -> None:
    with serving(app) as server, connect_to(server.bound_port) as reader:
        for request in (b"GET /large", b"HEAD /large", b"GET /next"):
            reader.sendall(request + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        reader.sendall(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        until(lambda: any(each.flow.write_paused for each in connections(server)))
        large, *rest = read_all(reader).split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert large.partition(b"\r\n\r\n")[2] == LARGE
    assert [answer.partition(b"\r\n\r\n")[2] for answer in rest] == [b"", b"/next", b"/last"]
