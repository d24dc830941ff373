"""A maintenance command that ends midway says what becomes of the rest, and gives its lease back if it can."""

import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from deploy.cli import erase
from deploy.cli.endings import ended
from deploy.cli.erase import erase_organization
from deploy.cli.rebuild import rebuild_span
from deploy.errors import Interrupted
from pipeline.core.effects import Effect, EraseRollups, EraseRows, RaiseState, ReadState, RebuildBuckets, State
from pipeline.errors import NotMigrated, SinkRefuses, SinkUnavailable
from pipeline.repair import lease
from pipeline.repair.lease import LeaseTaken
from schemas.endpoint import Endpoint
from schemas.grain import MS_PER_SECOND, Grain
from schemas.instant import Span
from tests.support.fake_store import FakeStore
from tests.support.stores import DAY

SPAN = Span(DAY, DAY + Grain.DAY.seconds)
AWAY = Endpoint.of("http://127.0.0.1:1/default")


class Ends(FakeStore):
    """A store in which an effect of one kind is ended by an error; where it would be reached, nothing answers."""

    endpoint = AWAY

    def __init__(self, at: type[Any], error: BaseException) -> None:
        super().__init__()
        self.perform(RaiseState(State(as_of_ms=SPAN.end * MS_PER_SECOND, closing_ms=SPAN.end * MS_PER_SECOND)))
        self.at, self.error, self.holder, self.taken = at, error, "", False

    def perform(self, effect: Effect) -> Any:
        if isinstance(effect, getattr(self, "at", ())):
            raise self.error
        return super().perform(effect)

    def write(self, doing: str, statement: str, /, *, holder: str, command: str, seconds: int) -> None:
        self.holder = holder

    def rows(self, doing: str, statement: str, /) -> Sequence[Sequence[Any]]:
        return [(self.holder, "", lease.LEASE_SECONDS)]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "connect_writer", lambda _: None)
    monkeypatch.setattr(erase, "list_keys", lambda *_: [])


def run_rebuild(store: Any) -> None:
    rebuild_span(store, SPAN, "", watched=False)


def run_erase(store: Any) -> None:
    erase_organization(store, "acme", 1)


@pytest.mark.parametrize(
    ("run", "at", "told"),
    [
        (run_erase, EraseRows, ("a worker finishes it", "safe to run it again")),
        (run_erase, EraseRollups, ("a worker finishes it", "safe to run it again")),
        (run_rebuild, RebuildBuckets, ("nobody finishes it", "run it again")),
    ],
)
def test_an_end_midway_says_what_becomes_of_the_rest(
    run: Any, at: type[Effect], told: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Interrupted) as interrupted:
        run(Ends(at, KeyboardInterrupt()))
    assert ended(interrupted.value) == 130
    with pytest.raises(SinkRefuses) as refused:
        run(Ends(at, SinkRefuses("no right to that")))
    sentences = capsys.readouterr().err, str(refused.value)
    assert sentences[0].startswith("msgmetrics: interrupted; ")
    assert sentences[1].startswith("no right to that; ")
    assert all(part in sentence for part in told for sentence in sentences)


def test_a_lease_that_another_holds_is_no_end_midway(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Ends(EraseRows, KeyboardInterrupt())
    monkeypatch.setattr(store, "rows", lambda *_: [("another", "rebuild", 30)])
    with pytest.raises(LeaseTaken) as taken:
        run_erase(store)
    assert "finishes" not in str(taken.value)


def test_a_lease_that_cannot_be_renewed_at_once_is_renewed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.001)
    store, outcomes = Ends(KeyError, KeyError()), [None, SinkUnavailable("away"), SinkUnavailable("away")]
    claim, perform, renewed = store.write, store.perform, threading.Event()

    def write(*words: Any, **named: Any) -> None:
        if outcomes and (failure := outcomes.pop(0)):
            raise failure
        claim(*words, **named)
        if not outcomes:
            renewed.set()

    def perform_when_renewed(effect: Effect) -> Any:
        if isinstance(effect, RebuildBuckets):
            assert renewed.wait(10)
        return perform(effect)

    monkeypatch.setattr(store, "write", write)
    monkeypatch.setattr(store, "perform", perform_when_renewed)
    run_rebuild(store)
    assert outcomes == []


def test_a_clickhouse_that_hangs_does_not_hold_a_command_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the lease costs: the command ends for its own reason, and soon."""
    monkeypatch.setattr(lease, "GIVE_BACK_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = Ends(RebuildBuckets, KeyboardInterrupt())
        store.endpoint = Endpoint.of(f"http://127.0.0.1:{silent.getsockname()[1]}/default")
        began = time.monotonic()
        with pytest.raises(Interrupted):
            run_rebuild(store)
    assert time.monotonic() - began < 5


def test_an_erasure_is_not_even_ordered_in_a_database_that_is_being_migrated() -> None:
    store = Ends(ReadState, NotMigrated("run `msgmetrics migrate`"))
    with pytest.raises(NotMigrated):
        run_erase(store)
    assert store.erasures == {}
    assert store.holder, "the lease came first, so that nobody migrates from here on"
