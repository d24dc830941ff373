"""Head and body of an answer go out together; and what api/protocol.py takes from uvicorn beyond its documentation.

These names were read in uvicorn 0.54.0 and httptools 0.9.0. Where one is gone, read api/protocol.py again before the
upper bounds in pyproject.toml are raised.
"""

import ast
import asyncio
import inspect
from importlib.metadata import version
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api.protocol import Gathering, Protocol

READ_IN = {"uvicorn": "0.54", "httptools": "0.9"}
METHODS = {
    "connection_made": ["transport"],
    "connection_lost": ["exc"],
    "data_received": ["data"],
    "on_message_begin": [],  # this and the next two are called by httptools
    "on_headers_complete": [],
    "on_message_complete": [],
    "pause_writing": [],
    "resume_writing": [],
    "send_400_response": ["msg"],
    "timeout_keep_alive_handler": [],
}
"""Overridden or called, with their parameters."""
ATTRIBUTES = {"connections", "cycle", "loop", "timeout_keep_alive", "timeout_keep_alive_task", "transport"}
"""Of a connection; read, and the timer's task set."""


class Recorder:
    """A transport that notes what it is told."""

    limit = 65536

    def __init__(self) -> None:
        self.told: list[Any] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("closed")


def test_what_is_written_in_one_turn_is_sent_at_once() -> None:
    async def turns() -> None:
        transport = Gathering(recorder, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.write(b"head ")
        transport.write(b"body")
        assert recorder.told == []
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)
        assert transport.limit == Recorder.limit, "everything else is the transport's own"

    recorder = Recorder()
    asyncio.run(turns())
    assert recorder.told == [b"head body", b"next"]


def test_closing_sends_what_was_written_first_and_nothing_after() -> None:
    async def turns() -> None:
        transport = Gathering(recorder, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.write(b"refused")
        transport.close()
        await asyncio.sleep(0)

    recorder = Recorder()
    asyncio.run(turns())
    assert recorder.told == [b"refused", "closed"]


@pytest.mark.parametrize("package", READ_IN)
def test_the_version_is_the_one_that_was_read(package: str) -> None:
    assert version(package).startswith(READ_IN[package] + ".")


@pytest.mark.parametrize("name", METHODS)
def test_uvicorn_still_has_the_method(name: str) -> None:
    assert name in vars(HttpToolsProtocol)
    assert list(inspect.signature(vars(HttpToolsProtocol)[name]).parameters) == ["self", *METHODS[name]]


def test_uvicorn_still_has_the_attributes() -> None:
    assert set(vars(connection())) >= ATTRIBUTES
    assert "self.response_complete" in inspect.getsource(RequestResponseCycle.__init__)
    assert "self.servers" in inspect.getsource(uvicorn.Server.startup), "api/server.py finds its port there"


def test_all_that_the_protocol_takes_is_named_here() -> None:
    theirs = {*vars(HttpToolsProtocol), *vars(connection())}
    places = [node for node in ast.walk(ast.parse(inspect.getsource(Protocol))) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in places if ast.unparse(node.value) in ("self", "super()")}
    overridden = {name for name in vars(Protocol) if not name.startswith("__")}
    assert (used | overridden) & theirs == ATTRIBUTES | set(METHODS)


def connection() -> HttpToolsProtocol:
    async def make() -> HttpToolsProtocol:
        return HttpToolsProtocol(uvicorn.Config(application), ServerState(), {})

    return asyncio.run(make())


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers nothing."""
