"""Strangers at a real server: 64 connections that guess keys, beside a client that pays."""

import asyncio
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import uvicorn
from clickhouse_connect.driver.client import Client

from api.app import create_app
from api.errors import Unavailable
from api.known_keys import READINGS_A_SECOND, KeyHashes
from api.reader import Account, Reader
from deploy.cli.accounts import create_key, revoke_key
from schemas.api_key import key_hash
from tests.support.endpoint import NOW, PATH

GUESSERS, SECONDS = 64, 1.5
IMPORT = (
    "INSERT INTO api_keys (key_hash, id, prefix, org_id, scopes, created_at, expires_at, revoked_at) "
    "VALUES ({hash:String}, 'imported', 'x', 'a', ['metrics:read'], now(), 0, 0)"
)


class Counting(Reader):
    """Counts the statements on keys; can be told that ClickHouse is away."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: Counter[str] = Counter()
        self.is_away = False

    def key_hashes(self, since_ms: int) -> KeyHashes:
        self._count("readings")
        return super().key_hashes(since_ms)

    def account(self, key_hash: str) -> Account | None:
        self._count("look-ups")
        return super().account(key_hash)

    def _count(self, name: str) -> None:
        self.asked[name] += 1
        if self.is_away:
            raise Unavailable


def connected(port: int) -> "closing[http.client.HTTPConnection]":
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10))


@contextmanager
def served(reader: Reader) -> Iterator[int]:
    """The port of a server in a thread of its own."""
    app = create_app(reader, lambda: int(NOW.timestamp() * 1000), time.monotonic)
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def ask(connection: http.client.HTTPConnection, key: str) -> int:
    connection.request("GET", f"{PATH}?metric=sent", headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    response.read()
    return response.status


def guess(port: int, name: int, until: float, seen: Counter[int]) -> None:
    with connected(port) as connection:
        while time.monotonic() < until:
            seen[ask(connection, f"guess {name} at {time.monotonic()}")] += 1


def test_sixty_four_who_guess_cost_four_readings_a_second_and_nobody_who_pays_waits_for_them(
    url: str, client: Client, key: str
) -> None:
    reader, seen = Counting(url), Counter[int]()
    with served(reader) as port, connected(port) as paying:
        assert ask(paying, key) == 200
        began, before = time.monotonic(), Counter(reader.asked)
        until = began + SECONDS
        guessers = [threading.Thread(target=guess, args=(port, name, until, seen)) for name in range(GUESSERS)]
        for thread in guessers:
            thread.start()
        assert ask(paying, create_key(client, "a", ("metrics:read",), None, NOW)) == 200, "at once, beside all of them"
        while time.monotonic() < until:
            assert ask(paying, key) == 200
        for thread in guessers:
            thread.join()
        asked, seconds = reader.asked - before, time.monotonic() - began
    assert set(seen) == {401}
    assert seen[401] >= GUESSERS
    assert asked["readings"] <= seconds * READINGS_A_SECOND + 1
    assert asked["look-ups"] == 1, "of the key that was made meanwhile"


def test_a_key_works_at_its_first_request_whatever_it_looks_like(url: str, client: Client, key: str) -> None:
    reader = Counting(url)
    with served(reader) as port, connected(port) as connection:
        assert ask(connection, "hunter2") == 401
        client.command(IMPORT, parameters={"hash": key_hash("hunter2")})
        assert ask(connection, "hunter2") == 200
        made = create_key(client, "a", ("metrics:read",), None, NOW)
        assert ask(connection, made) == 200
        revoke_key(client, made)
        assert ask(connection, key) == 200
    assert reader.key_hashes(0).ascending == b"".join(
        sorted(bytes.fromhex(key_hash(one)) for one in (key, "hunter2", made, made))
    )


def test_without_clickhouse_no_key_is_wrong_and_a_remembered_one_goes_on(url: str, key: str) -> None:
    reader = Counting(url)
    reader.is_away = True
    with served(reader) as port, connected(port) as connection:
        assert [ask(connection, one) for one in (key, "x")] == [503, 503]
        reader.is_away = False
        assert [ask(connection, one) for one in (key, "x")] == [200, 401]
        reader.is_away = True
        assert [ask(connection, one) for one in (key, "x")] == [200, 503]
        assert reader.asked["look-ups"] == 1


@pytest.mark.parametrize("broken", ["", "0" * 63, "zz"])
def test_a_row_whose_hash_is_none_shifts_no_other(url: str, client: Client, key: str, broken: str) -> None:
    client.command(IMPORT, parameters={"hash": broken})
    assert Reader(url).key_hashes(0).ascending == bytes.fromhex(key_hash(key))
