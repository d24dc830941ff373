"""A sending tells how far it came, whoever ends it."""

import itertools
import signal
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from deploy.cli.enveloping import plain
from deploy.cli.event_sending import send
from deploy.cli.interruption import Interruption
from deploy.errors import CommandError, Interrupted, Unreachable
from schemas.settings import Settings
from tests.support.places import TOPIC
from tests.support.producing import NOW_MS, FakeProducer, event, produce


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("reached", range(9))
def test_an_interrupted_sending_tells_how_many_were_acknowledged(
    where: Settings, file: Path, number: signal.Signals, reached: int
) -> None:
    before = signal.getsignal(number)

    def answer(line: bytes) -> None:
        if line == event(reached):
            signal.raise_signal(number)
            assert signal.getsignal(number) == signal.SIG_DFL, "the second one ends the process"

    producer = FakeProducer(answer)
    with pytest.raises(Interrupted) as interrupted:
        produce(where, file, producer)
    assert str(interrupted.value) == (
        f"interrupted: {len(producer.sent)} of 10 events were acknowledged, and others may have arrived; "
        "sending the file again is safe, since an event counts once"
    )
    assert reached < len(producer.sent) <= reached + 3
    assert interrupted.value.exit_code == 130
    assert signal.getsignal(number) == before


def test_a_signal_that_comes_when_all_is_sent_changes_nothing(where: Settings, file: Path) -> None:
    producer = FakeProducer(lambda line: signal.raise_signal(signal.SIGINT) if line == event(9) else None)
    assert produce(where, file, producer) == "10 events sent to message-events"


def test_an_interrupted_sending_reads_on_no_further(where: Settings) -> None:
    signals = iter([signal.SIGINT])

    def answer(_: bytes) -> None:
        for number in signals:
            signal.raise_signal(number)

    producer = FakeProducer(answer)
    with Interruption("nothing was sent") as interruption:
        interruption.defer()
        with pytest.raises(Interrupted):
            send(
                where, TOPIC, itertools.repeat(event(1)), 9,
                keyed=True, wrap=plain, connect=producer.connect, stop=interruption,
            )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_says_that_nothing_was_sent(where: Settings, file: Path, number: signal.Signals) -> None:
    file.write_bytes(event(1, "2099-01-01T00:00:00Z"))
    times = iter([NOW_MS])

    def clock() -> int:
        for time in times:
            return time
        signal.raise_signal(number)
        return NOW_MS

    with pytest.raises(Interrupted, match="interrupted; nothing was sent"):
        produce(where, file, clock=clock)


def test_a_signal_that_is_ignored_stays_ignored(where: Settings, file: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        producer = FakeProducer(lambda _: signal.raise_signal(signal.SIGINT))
        assert produce(where, file, producer) == "10 events sent to message-events"
    finally:
        signal.signal(signal.SIGINT, before)


def test_records_that_are_refused_are_counted_and_the_others_are_sent(where: Settings, file: Path) -> None:
    too_large = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large")
    producer = FakeProducer(lambda line: too_large if line in (event(3), event(7)) else None)
    with pytest.raises(CommandError) as refused:
        produce(where, file, producer)
    assert refused.value.exit_code == 1
    said = str(refused.value)
    assert "8 of 10 events were acknowledged, 2 refused (too large; the first is event '3' of 'o0')" in said
    assert "max.message.bytes" in said
    assert len(producer.sent) == 8


def test_a_record_that_the_client_refuses_is_counted_too(where: Settings, file: Path) -> None:
    class Small(FakeProducer):
        def produce(self, topic: str, value: bytes, *, key: str | None, headers: list[tuple[str, bytes]]) -> None:
            if value == event(3):
                raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"))
            super().produce(topic, value, key=key, headers=headers)

    with pytest.raises(CommandError, match="9 of 10 events were acknowledged, 1 refused"):
        produce(where, file, Small())


@pytest.mark.parametrize("code", [KafkaError._MSG_TIMED_OUT, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_an_error_of_the_broker_ends_the_sending_with_its_reason(where: Settings, file: Path, code: int) -> None:
    answers = iter([None] * 4)
    producer = FakeProducer(lambda _: next(answers, KafkaError(code, "the reason")))
    with pytest.raises(Unreachable, match=r"4 of 10 events were acknowledged \(the reason\); sending the file again"):
        produce(where, file, producer)
    assert len(producer.keys) == 6, "the rest is not even tried"


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_fatal_error_of_the_client_is_told_however_the_driver_raises_it(
    where: Settings, file: Path, wrapped: bool
) -> None:
    class Fatal(FakeProducer):
        def poll(self, timeout: float) -> None:
            fatal = KafkaException(KafkaError(KafkaError._FATAL, "fenced"))
            if wrapped:
                raise SystemError("returned a result with an exception set") from fatal
            raise fatal

    with pytest.raises(Unreachable, match=r"0 of 10 events were acknowledged .*fenced"):
        produce(where, file, Fatal())
