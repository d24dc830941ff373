"""What schemas/admin_port.py takes from uvicorn beyond its documentation. Read in uvicorn 0.54.0."""

import asyncio
import inspect

import pytest
import uvicorn
from h11 import SERVER, Connection, RemoteProtocolError
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

METHODS = {"connection_made": ["transport"], "connection_lost": ["exc"], "send_400_response": ["msg"]}
ATTRIBUTES = {"connections", "cycle", "loop", "transport"}


@pytest.mark.parametrize("name", METHODS)
def test_uvicorn_still_has_the_method(name: str) -> None:
    assert list(inspect.signature(vars(H11Protocol)[name]).parameters) == ["self", *METHODS[name]]


def test_uvicorn_still_has_the_attributes() -> None:
    async def attributes() -> set[str]:
        return {*vars(H11Protocol(uvicorn.Config(application), ServerState(), {}))}

    assert asyncio.run(attributes()) >= ATTRIBUTES
    assert "self.disconnected" in inspect.getsource(RequestResponseCycle.__init__)


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"GET /", b"\x7f"])
def test_h11_bounds_what_is_incomplete(begin: bytes) -> None:
    connection = Connection(SERVER)
    connection.receive_data(begin + b"b" * 16 * 1024)
    with pytest.raises(RemoteProtocolError):
        connection.next_event()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers nothing."""
