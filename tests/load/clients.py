"""Asks the endpoint at a steady rate, from a process of its own: load that shares a lock with its measure is none."""

import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import httpx2

from api.params import ENDPOINT

THREADS = 8


@dataclass
class Answered:
    """How requests were answered; a status of 0 is no answer."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    cpu_seconds: float = 0.0


class Clients:
    """Asks for as long as the ``with`` block lasts, ``rate`` times a second; then ``answered`` says how it went."""

    def __init__(self, url: str, keys: Mapping[str, str], rate: float) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._ours, theirs = spawning.Pipe()
        self._process = spawning.Process(target=_ask_until_told, args=(theirs, url, dict(keys), rate), daemon=True)
        self.answered = Answered()

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ours.send("enough")
        self.answered = self._ours.recv()
        self._process.join()


def _ask_until_told(parent: Connection, url: str, keys: Mapping[str, str], rate: float) -> None:
    answered, stop = Answered(), threading.Event()
    threads = [threading.Thread(target=_ask, args=(answered, stop, url, keys, n, rate)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    parent.recv()
    stop.set()
    for thread in threads:
        thread.join()
    answered.cpu_seconds = time.process_time()
    parent.send(answered)


def _ask(
    answered: Answered, stop: threading.Event, url: str, keys: Mapping[str, str], number: int, rate: float
) -> None:
    pick, pause = random.Random(number), THREADS / rate
    due = time.monotonic() + pause * number / THREADS
    with httpx2.Client(base_url=url, timeout=10) as client:
        while not stop.wait(max(0.0, due - time.monotonic())):
            due += pause
            began = time.monotonic()
            answered.statuses[_one(client, keys, pick)] += 1
            answered.milliseconds.append((time.monotonic() - began) * 1000)


def _one(client: httpx2.Client, keys: Mapping[str, str], pick: random.Random) -> int:
    org = pick.choice(list(keys))
    query = {"metric": pick.choice(["sent", "delivered", "failed", "cost_cents"])}
    query["granularity"] = pick.choice(["minute", "hour", "day"])
    if pick.random() < 0.3:
        query["group_by"] = pick.choice(["channel", "error_code"])
    try:
        return client.get(ENDPOINT, params=query, headers={"Authorization": f"Bearer {keys[org]}"}).status_code
    except httpx2.TransportError:
        return 0
