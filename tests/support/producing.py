"""Calls of ``produce`` at a fixed time, with a producer in memory."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError

from deploy.cli.produce import How, produce_file
from schemas.instant import parse_instant
from schemas.settings import Settings
from tests.support.places import TOPIC

NOW_MS = parse_instant("2026-05-05T12:00:00Z").seconds * 1000


class Message:
    """A delivery report's record."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def value(self) -> bytes:
        return self._value


class FakeProducer:
    """A producer whose queue holds a few records, which are answered when it is polled."""

    def __init__(self, answer: Callable[[bytes], KafkaError | None] = lambda _: None, room: int = 3) -> None:
        self.sent: list[bytes] = []
        self.keys: list[str | None] = []
        self.headers: list[list[tuple[str, bytes]]] = []
        self.topics: set[str] = set()
        self._answer, self._room = answer, room
        self._queue: list[bytes] = []

    def connect(self, config: dict[str, Any]) -> "FakeProducer":
        self._delivered = config["on_delivery"]
        return self

    def produce(self, topic: str, value: bytes, *, key: str | None, headers: list[tuple[str, bytes]]) -> None:
        if len(self._queue) == self._room:
            raise BufferError
        self._queue.append(value)
        self.keys.append(key)
        self.headers.append(headers)
        self.topics.add(topic)

    def poll(self, timeout: float) -> None:
        queue, self._queue = self._queue, []
        for value in queue:
            error = self._answer(value)
            if error is None:
                self.sent.append(value)
            self._delivered(error, Message(value))

    def flush(self, timeout: float) -> int:
        self.poll(timeout)
        return len(self._queue)

    def purge(self, *, in_queue: bool, in_flight: bool) -> None:
        queue, self._queue = self._queue, []
        for value in queue:
            self._delivered(KafkaError(KafkaError._PURGE_QUEUE), Message(value))


def produce(
    where: Settings, name: Path | str, producer: FakeProducer | None = None, topic: str = TOPIC, **changes: Any
) -> str:
    arguments: dict[str, Any] = {
        "dry_run": False,
        "clock": lambda: NOW_MS,
        "connect": (producer or FakeProducer()).connect,
    }
    how = How(**{name: changes.pop(name) for name in changes.keys() & set(How._fields)})
    return produce_file(where, topic, str(name), how, **{**arguments, **changes})


def event(number: int, at: str = "2026-05-05T11:59:59Z", **more: object) -> bytes:
    good = {"event_id": f"{number}", "type": "message.sent", "org_id": f"o{number % 3}", "channel": "sms"}
    return json.dumps({**good, "occurred_at": at, **more}).encode()
