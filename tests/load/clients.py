"""Clients who pay: they ask the endpoint at a steady rate."""

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from api.params import ENDPOINT

THREADS = 8


@dataclass
class Answered:
    """How requests were answered; a status of 0 is no answer."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    cpu_seconds: float = 0.0


def ask(enough: threading.Event, url: str, keys: Mapping[str, str], rate: float) -> Answered:
    """Ask ``rate`` times a second until it is enough."""
    answered = Answered()
    threads = [threading.Thread(target=_ask, args=(answered, enough, url, keys, n, rate)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered.cpu_seconds = time.process_time()
    return answered


def _ask(
    answered: Answered, enough: threading.Event, url: str, keys: Mapping[str, str], number: int, rate: float
) -> None:
    pick, pause = random.Random(number), THREADS / rate
    due = time.monotonic() + pause * number / THREADS
    with httpx2.Client(base_url=url, timeout=10) as client:
        while not enough.wait(max(0.0, due - time.monotonic())):
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
