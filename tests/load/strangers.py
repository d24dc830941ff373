"""Strangers beside the clients who pay: they guess keys, read slowly, and send requests that have no end.

Measured is what their connections do to others: memory that is held for them, threads and turns that they take. How
much of a processor a flood takes is not, since here strangers and API share two cores. So each of them is paced: who
guesses waits for the answer, who reads takes 512 bytes and who sends 4 KiB five times a second; and they come one after
another, since the kernel takes some MB at once for each that reads. Whoever is cut off comes back.
"""

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from urllib.parse import urlsplit

from api.pages import plotly_name
from api.params import ENDPOINT
from tests.integration.test_hostile_requests import ENDLESS

GUESSERS, READERS_OF_EACH, SENDERS_OF_EACH = 64, 100, 6
LARGE = (f"/assets/{plotly_name()}", "/docs")
PAUSE_SECONDS, ARRIVING_SECONDS = 0.2, 10.0
READ_BYTES = 512
RECEIVE_BUFFER_BYTES = 4096
GUESS = "GET {path}?metric=sent HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess-{name}-{number}\r\n\r\n"

Attack = Callable[[socket.socket], Awaitable[None]]


@dataclass
class Deeds:
    """Statuses that guesses got, bytes that slow readers took, and requests without an end that the API has ended."""

    guesses: Counter[int] = field(default_factory=Counter)
    bytes_read: int = 0
    cut_off: int = 0
    cpu_seconds: float = 0.0

    def by_name(self) -> dict[str, int]:
        """What was to be done, and how often it was."""
        return {
            "guesses refused": self.guesses[401],
            "bytes read slowly": self.bytes_read,
            "requests without an end cut off": self.cut_off,
        }


def attack(enough: threading.Event, url: str, deeds: Deeds) -> Deeds:
    """Attack the API from some 300 connections until it is enough. Notes all that is done, and returns it."""
    asyncio.run(_attack(enough, urlsplit(url).port or 80, deeds))
    deeds.cpu_seconds = time.process_time()
    return deeds


async def _attack(enough: threading.Event, port: int, deeds: Deeds) -> None:
    attacks: list[Attack] = [
        *(partial(_guess, deeds, name) for name in range(GUESSERS)),
        *(partial(_read, deeds, path) for path in LARGE * READERS_OF_EACH),
        *(partial(_send, deeds, begin, more) for begin, more in [*ENDLESS.values()] * SENDERS_OF_EACH),
    ]
    async with asyncio.TaskGroup() as group:
        pick = random.Random(len(attacks))
        tasks = [group.create_task(_again(port, one, pick.uniform(0, ARRIVING_SECONDS))) for one in attacks]
        await asyncio.to_thread(enough.wait)
        for task in tasks:
            task.cancel()


async def _again(port: int, one: Attack, first_after_seconds: float) -> None:
    """Connect and attack until cut off; then anew."""
    await asyncio.sleep(first_after_seconds)
    while True:
        with socket.socket() as connection, contextlib.suppress(ConnectionError):
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            await one(connection)
        await asyncio.sleep(PAUSE_SECONDS)


async def _guess(deeds: Deeds, name: int, connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for number in count():
        await loop.sock_sendall(connection, GUESS.format(path=ENDPOINT, name=name, number=number).encode())
        answer = await loop.sock_recv(connection, RECEIVE_BUFFER_BYTES)  # whole, as it is short and sent at once
        if not answer:
            return
        deeds.guesses[int(answer.split()[1])] += 1


async def _read(deeds: Deeds, path: str, connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n".encode())
    while block := await loop.sock_recv(connection, READ_BYTES):
        deeds.bytes_read += len(block)
        await asyncio.sleep(PAUSE_SECONDS)


async def _send(deeds: Deeds, begin: bytes, more: bytes, connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        await loop.sock_sendall(connection, begin)
        while await _is_open(connection):
            await loop.sock_sendall(connection, more)
    deeds.cut_off += 1


async def _is_open(connection: socket.socket) -> bool:
    """Whether the API has not closed within the pause. It may answer, and then drop what comes until it closes."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PAUSE_SECONDS):
            while await asyncio.get_running_loop().sock_recv(connection, RECEIVE_BUFFER_BYTES):
                pass
            return False
    return True
