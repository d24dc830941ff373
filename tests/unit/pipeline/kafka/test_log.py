"""Kafka as the loops see it: a broker that does not answer is told, and is not asked what takes until it times out."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.core.ledger import Ledger
from pipeline.core.place import Place
from pipeline.core.waiting import Cause, Waiting
from pipeline.kafka import offsets
from pipeline.kafka.log import KafkaLog
from pipeline.peer import FAILING_SECONDS, Peer
from tests.support.places import P0, P1, TOPIC

AWAY = Cause("its leader does not answer", "it is asked again", passes=True)
DAMAGED = Cause("the batch there cannot be read", "skip it")
NOW_MS = 1_800_000_000_000


class Thread:
    """The consumer's thread, played on the loop of the test."""

    def __init__(self, ledger: Ledger, waiting: Waiting) -> None:
        self.hooks = SimpleNamespace(topic=TOPIC, ledger=ledger, waiting=waiting)
        self.kafka, self.fetching = None, SimpleNamespace(note_leaders=lambda consumer: None)

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, asyncio.get_running_loop())


@pytest.mark.parametrize(
    ("causes", "ends_of", "idle_of", "is_away"),
    [
        ({}, {P0, P1}, {P0, P1}, False),
        ({P0: AWAY}, {P1}, {P1}, False),
        ({P0: DAMAGED}, {P0, P1}, {P1}, False),
        ({P0: AWAY, P1: AWAY}, set(), set(), True),
        ({P0: AWAY, P1: DAMAGED}, {P1}, set(), False),
    ],
)
def test_a_partition_that_nobody_answers_for_is_asked_nothing_more(
    causes: dict[Place, Cause],
    ends_of: set[Place],
    idle_of: set[Place],
    is_away: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[set[Place]] = []

    async def ask(consumer: Any, places: Iterable[Place], *_: Any) -> dict[Place, int]:
        asked.append(set(places))
        return {}

    monkeypatch.setattr(offsets, "log_ends", ask)
    monkeypatch.setattr(offsets, "caught_up", ask)
    ledger, waiting, peer = Ledger(), Waiting(), Peer("Kafka")
    for place in (P0, P1):
        ledger.begin(place, 0, now=0.0)
    for place, cause in causes.items():
        waiting.note(place, 0, cause, 0.0)

    async def main() -> None:
        thread: Any = Thread(ledger, waiting)
        log = KafkaLog(thread, peer, lambda: NOW_MS, lambda: 60.0)
        assert set(await log.waiting()) == causes.keys()
        await log.log_ends()
        await log.caught_up()

    asyncio.run(main())
    assert asked == [ends_of, idle_of]
    later_ms = NOW_MS + int(FAILING_SECONDS * 1000) + 1000
    assert (peer.reason(later_ms) is not None) == is_away
