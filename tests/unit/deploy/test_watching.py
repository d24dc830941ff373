"""What lives in the process of `dev` and does not answer any more ends the whole, with the reason."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pytest
from confluent_kafka import KafkaException

from deploy.cli import parts
from deploy.cli.dev import engines
from deploy.cli.parts import live_together, watch
from deploy.engines import chdb_http
from deploy.engines.chdb_http import ChdbHttpServer
from deploy.engines.mock_kafka import MockKafka
from deploy.engines.pool import EngineError
from deploy.errors import CommandError, Unreachable


class Embedded:
    """An engine or a broker, which dies after so many answers."""

    def __init__(self, lives: int) -> None:
        self.lives = lives

    def check(self, seconds: float) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise OSError("nobody there")


class Pool:
    """Connections to an engine that can be told to fail."""

    fails = False

    def __init__(self, *_: Any) -> None:
        pass

    @contextmanager
    def connection(self, _: Any) -> Iterator[Any]:
        yield self

    def query(self, *_: Any, **__: Any) -> "Pool":
        if Pool.fails:
            raise RuntimeError("the engine has ended")
        return self

    def bytes(self) -> bytes:
        return b"1\n"

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PAUSE_SECONDS", 0.001)


def run(part: Callable[[asyncio.Event], Any]) -> None:
    async def main() -> None:
        await part(asyncio.Event())

    asyncio.run(main())


@pytest.mark.parametrize(
    ("engine", "broker", "reason"),
    [
        (Embedded(2), Embedded(10**6), "the engine ended: it was asked 4 times and does not answer (nobody there)"),
        (Embedded(10**6), Embedded(0), "the broker ended: it was asked 4 times and does not answer (nobody there)"),
        (Embedded(0), None, "the engine ended: it was asked 4 times and does not answer (nobody there)"),
    ],
)
def test_the_death_of_either_ends_the_whole_with_the_reason(engine: Any, broker: Any, reason: str) -> None:
    with pytest.raises(CommandError) as ended:
        run(lambda stop: live_together(engines(engine, broker, stop), stop))
    assert str(ended.value) == reason


def test_few_questions_without_an_answer_are_no_death() -> None:
    answers = iter([*[OSError()] * (parts.MOST_UNANSWERED - 1), None] * 3)

    async def main() -> None:
        stop = asyncio.Event()

        def ask(_: float) -> None:
            left = list(islice(answers, 1))
            if not left:
                loop.call_soon_threadsafe(stop.set)
            for error in filter(None, left):
                raise error

        loop = asyncio.get_running_loop()
        await watch(ask, stop)

    asyncio.run(main())
    assert next(answers, None) is None


def test_a_broker_that_has_ended_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ASK_SECONDS", 0.1)
    broker = MockKafka()
    broker.check(10)
    del broker._host
    with pytest.raises(KafkaException):
        broker.check(0.1)
    with pytest.raises(Unreachable):
        run(lambda stop: watch(broker.check, stop))


def test_an_engine_that_fails_hangs_or_has_ended_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chdb_http, "ConnectionPool", Pool)
    engine = ChdbHttpServer(None, password="p").start()
    engine.check(10)
    monkeypatch.setattr(Pool, "fails", True)
    with pytest.raises(EngineError, match="the engine has ended"):
        engine.check(10)
    engine._server.shutdown()  # connections are taken by the system, and answered by nobody
    with pytest.raises(TimeoutError):
        engine.check(0.1)
    engine._server.server_close()
    with pytest.raises(ConnectionRefusedError):
        engine.check(10)
