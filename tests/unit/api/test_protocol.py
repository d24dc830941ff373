"""What api/protocol.py takes from uvicorn and httptools beyond their documentation.

These names were read in uvicorn 0.54.0 and httptools 0.9.0. Where one is gone, read api/protocol.py again before the
upper bounds in pyproject.toml are raised.
"""

import ast
import asyncio
import inspect
from importlib.metadata import version

import pytest
import uvicorn
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api.protocol import Protocol

READ_IN = {"uvicorn": "0.54", "httptools": "0.9"}
METHODS = {
    "connection_made": ["transport"],
    "connection_lost": ["exc"],
    "data_received": ["data"],
    "eof_received": [],
    "on_message_begin": [],  # this and the next three are called by httptools
    "on_headers_complete": [],
    "on_body": ["body"],
    "on_message_complete": [],
    "on_response_complete": [],
    "pause_writing": [],
    "resume_writing": [],
    "_unset_keepalive_if_required": [],
}
"""Overridden or called, with their parameters."""
ATTRIBUTES = {
    *("connections", "cycle", "expect_100_continue", "flow", "headers", "loop", "parser", "pipeline", "transport"),
}
"""Of a connection. ``headers`` is set, and so is ``keep_alive`` of the cycle; the others are read."""


@pytest.mark.parametrize("package", READ_IN)
def test_the_version_is_the_one_that_was_read(package: str) -> None:
    assert version(package).startswith(READ_IN[package] + ".")


@pytest.mark.parametrize("name", METHODS)
def test_uvicorn_still_has_the_method(name: str) -> None:
    assert name in vars(HttpToolsProtocol)
    assert list(inspect.signature(vars(HttpToolsProtocol)[name]).parameters) == ["self", *METHODS[name]]


def test_uvicorn_still_has_the_attributes() -> None:
    assert set(vars(connection())) >= ATTRIBUTES
    for name in ("keep_alive", "response_complete"):
        assert f"self.{name}" in inspect.getsource(RequestResponseCycle.__init__)
    assert {"pause_reading", "resume_reading"} <= vars(FlowControl).keys()
    assert "self.read_paused" in inspect.getsource(FlowControl.__init__)
    assert "self.servers" in inspect.getsource(uvicorn.Server.startup), "api/server.py finds its port there"


def test_all_that_the_protocol_takes_is_named_here() -> None:
    theirs = {*vars(HttpToolsProtocol), *vars(connection())}
    places = [node for node in ast.walk(ast.parse(inspect.getsource(Protocol))) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in places if ast.unparse(node.value) in ("self", "super()")}
    overridden = {name for name in vars(Protocol) if not name.startswith("__")}
    assert (used | overridden) & theirs == ATTRIBUTES | set(METHODS)


def test_the_parser_says_where_it_stopped_and_what_a_callback_raised() -> None:
    class Refusing:
        def on_headers_complete(self) -> None:
            raise KeyError

    upgrade = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    with pytest.raises(HttpParserUpgrade) as stopped:
        HttpRequestParser(object()).feed_data(memoryview(upgrade + b"more"))
    assert stopped.value.args == (len(upgrade),)
    with pytest.raises(HttpParserError) as raised:
        HttpRequestParser(Refusing()).feed_data(upgrade)
    assert isinstance(raised.value.__context__, KeyError)


def connection() -> HttpToolsProtocol:
    async def make() -> HttpToolsProtocol:
        return HttpToolsProtocol(uvicorn.Config(application), ServerState(), {})

    return asyncio.run(make())


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers nothing."""
