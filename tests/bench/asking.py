"""Asks an endpoint over some connections as fast as it answers.

A process of its own: ``python -m tests.bench.asking`` reads {"port", "paths", "headers", "connections", "seconds"} as
JSON and prints {"rate", "p50_ms", "p99_ms", "bytes"}. Every connection asks the paths in turn, from a place of its own.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from functools import partial


class Asker(asyncio.Protocol):
    """One connection: the next question goes out when the answer is complete."""

    def __init__(self, questions: Sequence[bytes], place: int, until: float) -> None:
        self._questions, self._place, self._until = questions, place, until
        self._rest, self._missing, self._asked_at = b"", 0, 0.0
        self.took: list[float] = []
        self.bytes = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(self._questions[self._place % len(self._questions)])
        self._place += 1

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            self._rest += data
            head, found, body = self._rest.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self._fail(f"answered {head[:300]!r} {body[:300]!r}")
                return
            length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
            self._rest, self._missing, self.bytes = b"", length - len(body), length
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            self._missing = 0
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        self.took.append(now - self._asked_at)
        if now < self._until:
            self._ask()
        elif not self.done.done():
            self.done.set_result(None)

    def _fail(self, sentence: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(sentence))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was closed: {exc}")


def _same(asker: Asker) -> Asker:
    return asker


async def ask(
    port: int, paths: Sequence[str], headers: dict[str, str], connections: int, seconds: float
) -> dict[str, float]:
    """Ask for so long; quantiles over all answers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "bench", **headers}.items())
    questions = [f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode() for path in paths]
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    until = began + seconds
    askers: list[Asker] = []
    for number in range(connections):
        place = number * len(questions) // connections
        asker = Asker(questions, place, until)
        await loop.create_connection(partial(_same, asker), "127.0.0.1", port)
        askers.append(asker)
    await asyncio.gather(*(asker.done for asker in askers))
    took = sorted(t for asker in askers for t in asker.took)
    passed = time.perf_counter() - began
    return {
        "rate": len(took) / passed,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[min(len(took) - 1, int(len(took) * 0.99))] * 1000,
        "bytes": float(askers[0].bytes),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(**json.load(sys.stdin)))), flush=True)
