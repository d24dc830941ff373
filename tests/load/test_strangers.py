"""The strangers of the load do what they are there for, and come back when they are cut off."""

import threading

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

import api.protocol
import tests.load.strangers
from api.params import ENDPOINT
from tests.integration.test_hostile_requests import ENDLESS
from tests.load.strangers import GUESSERS, Deeds, attack
from tests.support.serving import serving, until


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Knows no key, and has a large answer for all other paths."""
    response = Response(status_code=401) if scope["path"] == ENDPOINT else Response(b"x" * 5_000_000)
    await response(scope, receive, send)


def test_every_kind_is_at_work_at_once_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tests.load.strangers, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(tests.load.strangers, "ARRIVING_SECONDS", 0.1)
    monkeypatch.setattr(tests.load.strangers, "READERS_OF_EACH", 20)
    monkeypatch.setattr(tests.load.strangers, "SENDERS_OF_EACH", 1)
    monkeypatch.setattr(api.protocol, "REQUEST_SECONDS", 2.0)
    deeds, enough = Deeds(), threading.Event()

    def all_are_done() -> bool:
        return deeds.guesses[401] > GUESSERS and deeds.bytes_read > 100 * 512 and deeds.cut_off > len(ENDLESS)

    with serving(app) as server:
        words = (enough, f"http://127.0.0.1:{server.bound_port}", deeds)
        attacking = threading.Thread(target=attack, args=words)
        attacking.start()
        try:
            until(all_are_done)
            assert len(server.server_state.connections) > GUESSERS
        finally:
            enough.set()
            attacking.join()
    assert set(deeds.guesses) == {401}
    assert all(deeds.by_name().values())
