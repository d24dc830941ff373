"""Schedules that a random one meets too rarely, written out: each shows what its safeguard is for."""

import json
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.core.effects import AwaitInserts, CloseBuckets, Effect, ReadState, RecomputeLate, Synchronise
from pipeline.core.erasure import erase_steps
from pipeline.core.flush import Batch, Chunk, Rules
from pipeline.core.late_keys import LateKeys
from pipeline.core.progress import Progress
from pipeline.core.protocol import Flushed, flush_steps, progress_steps, recompute_steps, roll_steps
from pipeline.runner import Perform, drive
from schemas.grain import Grain
from tests.sim.lag import Server
from tests.sim.log import Record
from tests.support.fake_store import FakeStore, to_the_end
from tests.support.moments import at as moment
from tests.support.places import P0, TOPIC

RULES = Rules(lateness_ms=0, future_skew_ms=10**12)
HOUR = int(datetime(2026, 5, 5, 12, tzinfo=UTC).timestamp())


def closed_up_to(store: FakeStore, instant: int) -> None:
    """The only partition is caught up at an instant (epoch seconds), and the roller has run."""
    drive(progress_steps([Progress(P0, 0, instant * 1000)], 0), store.perform)
    drive(roll_steps({TOPIC}, {TOPIC: {P0}}), store.perform)


def flush(store: FakeStore, event_id: str, at: int, perform: Perform | None = None) -> LateKeys:
    """Make one event durable and return the late keys it brings."""
    event = {"event_id": event_id, "org_id": "a", "type": "message.sent", "channel": "sms"}
    value = json.dumps(event | {"occurred_at": datetime.fromtimestamp(at, UTC).isoformat()}).encode()
    chunk = Chunk()
    chunk.add(Batch(P0, 1, 0, 1, [Record(0, at * 1000, value)], 0), RULES, moment(at * 1000), 0, 0.0)
    flushed: Flushed = drive(flush_steps(chunk, chunk.progress(), 0, {}), perform or store.perform)
    return flushed.late


def recompute(store: FakeStore, keys: LateKeys, between: Any, *, rereads: bool) -> None:
    """A recompute that is overtaken: ``between`` happens while its minutes are read and not yet written."""
    steps, answer, first = recompute_steps("batch", keys), None, None
    while True:
        try:
            effect: Effect = steps.send(answer)
        except StopIteration:
            return
        doing: Generator[None, None, Any] = store.steps(effect)
        if isinstance(effect, RecomputeLate) and effect.grain is Grain.MINUTE:
            next(doing)
            between()
        answer = to_the_end(doing)
        if isinstance(effect, ReadState) and not rereads:
            answer = first = first or answer


@pytest.mark.parametrize("rereads", [True, False])
def test_an_hour_that_closes_while_its_minute_is_recomputed_has_the_late_event(rereads: bool) -> None:
    """::

    worker   closing = 12:30 ── reads minute 12:10 ──────────────────────── writes it ── closing again: 13:00 ── hour
    roller                                          closes 13:00: the hour,
                                                    from the old minute
    """
    store = FakeStore(clock_ms=lambda: (HOUR + 7200) * 1000)
    flush(store, "on time", HOUR + 600)
    closed_up_to(store, HOUR + 1800)
    keys = flush(store, "late", HOUR + 610)
    recompute(store, keys, lambda: closed_up_to(store, HOUR + 3600), rereads=rereads)
    minute = store.rollups[Grain.MINUTE]["a", HOUR + 600]
    hour = store.rollups[Grain.HOUR]["a", HOUR]
    assert len(minute.facts) == 2
    assert len(hour.facts) == (2 if rereads else 1), "without the second look the hour stays wrong"


@pytest.mark.parametrize("waits", [True, False])
def test_a_minute_that_was_being_computed_from_erased_facts_does_not_come_back(waits: bool) -> None:
    """::

    roller   reads the facts of 12:10 ─────────────────────────────── writes the minute
    eraser                             deletes facts ── waits for it ── deletes the minute
    """
    store = FakeStore(clock_ms=lambda: (HOUR + 7200) * 1000)
    flush(store, "erased", HOUR + 600)
    closing: Generator[None, None, Any] = store.steps(CloseBuckets(Grain.MINUTE, HOUR, HOUR + 3600, 0))
    next(closing)
    erasing, answer = erase_steps("a", (HOUR + 3600) * 1000), None
    while True:
        try:
            effect: Effect = erasing.send(answer)
        except StopIteration:
            break
        if isinstance(effect, AwaitInserts):
            answer = True
            if waits:
                to_the_end(closing)  # which is what it waits for
        else:
            answer = to_the_end(store.steps(effect))
    to_the_end(closing)
    assert set(store.rollups[Grain.MINUTE]) == (set() if waits else {("a", HOUR + 600)})


def lagging() -> tuple[FakeStore, Server, Server]:
    """A store that could close half an hour, and two of its servers, which know nothing of that yet."""
    store = FakeStore(clock_ms=lambda: (HOUR + 7200) * 1000)
    closed_up_to(store, HOUR)
    servers = Server(store), Server(store)
    drive(progress_steps([Progress(P0, 0, (HOUR + 1800) * 1000)], 0), store.perform)
    return store, *servers


@pytest.mark.parametrize("synchronises", [True, False])
def test_a_fact_that_comes_while_servers_catch_up_one_by_one_is_late_or_seen(synchronises: bool) -> None:
    """::

    roller   writes closing ── one catches up ───────────────────────────────── the other too ── reads facts from one
    worker                                     inserts ── both catch up ── reads closing from the other
    """
    store, one, other = lagging()
    late: list[LateKeys] = []

    def of_the_worker(effect: Effect) -> Any:
        if isinstance(effect, Synchronise) and synchronises:
            one.catch_up()
            other.catch_up()
        return (other if isinstance(effect, ReadState) else store).perform(effect)

    def of_the_roller(effect: Effect) -> Any:
        if isinstance(effect, Synchronise):
            one.catch_up()
            if not late:
                late.append(flush(store, "meanwhile", HOUR + 600, of_the_worker))
            other.catch_up()
        return (one if isinstance(effect, CloseBuckets) else store).perform(effect)

    drive(roll_steps({TOPIC}, {TOPIC: {P0}}), of_the_roller)
    is_seen = ("a", HOUR + 600) in store.rollups[Grain.MINUTE]
    assert (is_seen or len(late[0]) > 0) is synchronises


@pytest.mark.parametrize("synchronises", [True, False])
def test_a_minute_that_is_announced_after_servers_caught_up_is_closed_from_what_came_before(synchronises: bool) -> None:
    """::

    worker   inserts ── the other catches up ─────────────────────────────── one too ── reads closing from the other
    roller                         writes closing ── both catch up ── reads facts from one
    """
    store, one, other = lagging()

    def of_the_roller(effect: Effect) -> Any:
        if isinstance(effect, Synchronise) and synchronises:
            one.catch_up()
            other.catch_up()
        return (one if isinstance(effect, CloseBuckets) else store).perform(effect)

    def of_the_worker(effect: Effect) -> Any:
        if isinstance(effect, Synchronise):
            other.catch_up()
            drive(roll_steps({TOPIC}, {TOPIC: {P0}}), of_the_roller)
            one.catch_up()
        return (other if isinstance(effect, ReadState) else store).perform(effect)

    late = flush(store, "before", HOUR + 600, of_the_worker)
    is_seen = ("a", HOUR + 600) in store.rollups[Grain.MINUTE]
    assert (is_seen or len(late) > 0) is synchronises
