"""Checked events sent to Kafka, and how many of them the brokers acknowledged, whatever ends it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message

from deploy.cli.enveloping import Wrap, Wrapped
from deploy.cli.interruption import Interruption
from deploy.cli.kafka import client_settings
from deploy.errors import CommandError, Interrupted, Unreachable
from pipeline.core.event import decode_event
from pipeline.core.opening import decode_record
from schemas.message_event import MAX_EVENT_BYTES
from schemas.settings import Settings

QUEUE_RECORDS = 100_000
QUEUE_KIB = 64 * 1024
POLL_EVERY = 1_000
DELIVERY_SECONDS = 60
WAIT_SECONDS = 0.2
"""A signal is noticed between two waits."""
WAITS = round(2 * DELIVERY_SECONDS / WAIT_SECONDS)
"""More than enough: librdkafka gives a record up after half of that time."""
LAST_SECONDS = 2.0
"""Time for answers that are under way when the sending is broken off."""
ONE_RECORD = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)
"""Errors of one record or batch, behind which others are still taken."""

AGAIN = "sending the file again is safe, since an event counts once"


class EventProducer(Protocol):
    """The part of librdkafka's producer that is used here."""

    def produce(self, topic: str, value: bytes, *, key: str | None, headers: list[tuple[str, bytes]]) -> None: ...
    def poll(self, timeout: float) -> object: ...
    def flush(self, timeout: float) -> int: ...
    def purge(self, *, in_queue: bool, in_flight: bool) -> None: ...


Connect = Callable[[dict[str, Any]], EventProducer]


class Deliveries:
    """Delivery reports: acknowledged and refused records, the first refusal, and the error that ends the sending."""

    def __init__(self) -> None:
        self.acknowledged, self.refused = 0, 0
        self.refusal, self.failure = "", ""

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.fail(error, message.value())

    def fail(self, error: KafkaError, value: bytes) -> None:
        """Count a record that was refused, or note the error that will end the sending."""
        if error.code() not in ONE_RECORD:
            self.failure = self.failure or error.str()
            return
        self.refused += 1
        if not self.refusal:
            event, _, _ = decode_record(value, (), None)
            self.refusal = f"{error.str()}; the first is event {event.event_id!r} of {event.org_id!r}"

    def problem(self, count: int, *, interrupted: bool) -> CommandError | None:
        """The error of a sending that is over; None where all records were acknowledged."""
        reached = f"{self.acknowledged} of {count} events were acknowledged"
        if self.acknowledged == count:
            return None
        if interrupted:
            return Interrupted(f"interrupted: {reached}, and others may have arrived; {AGAIN}")
        if self.refused and not self.failure:
            remedy = f"max.message.bytes of the topic should be at least {2 * MAX_EVENT_BYTES}"
            return CommandError(f"{reached}, {self.refused} refused ({self.refusal}); {remedy}; {AGAIN}")
        return Unreachable(f"{reached} ({self.failure or 'no answer'}); {AGAIN}")


def send(
    settings: Settings,
    topic: str,
    lines: Iterable[bytes],
    count: int,
    *,
    keyed: bool,
    wrap: Wrap,
    connect: Connect,
    stop: Interruption,
) -> None:
    """Send all lines, of which there are ``count``, to a topic, each in the envelope that ``wrap`` puts it in.

    Raises a CommandError that tells how many were acknowledged.
    """
    deliveries = Deliveries()
    sending = _Sending(connect(_config(settings, deliveries)), topic, deliveries, stop)
    with _failures(deliveries):
        sending.publish(lines, wrap, keyed=keyed)
    with _failures(deliveries):
        sending.wait()
    if problem := deliveries.problem(count, interrupted=stop.came):
        raise problem


@contextmanager
def _failures(deliveries: Deliveries) -> Iterator[None]:
    try:
        yield
    except (KafkaException, SystemError, CommandError) as error:  # a fatal one, which the driver may wrap, or the file
        deliveries.failure = str(error.__cause__ or error)


def _config(settings: Settings, deliveries: Deliveries) -> dict[str, Any]:
    return client_settings(
        settings,
        **{
            "linger.ms": 20,
            "compression.type": "lz4",
            "enable.idempotence": True,
            "batch.size": MAX_EVENT_BYTES,  # a topic's max.message.bytes is about batches, and may be little more
            "queue.buffering.max.messages": QUEUE_RECORDS,
            "queue.buffering.max.kbytes": QUEUE_KIB,
            "message.timeout.ms": DELIVERY_SECONDS * 1000,
            "on_delivery": deliveries,
        },
    )


class _Sending:
    """A producer at work, until all is sent, an error ends it, or somebody does."""

    def __init__(self, producer: EventProducer, topic: str, deliveries: Deliveries, stop: Interruption) -> None:
        self._producer, self._topic, self._deliveries, self._stop = producer, topic, deliveries, stop

    @property
    def _ended(self) -> bool:
        return self._stop.came or bool(self._deliveries.failure)

    def publish(self, lines: Iterable[bytes], wrap: Wrap, *, keyed: bool) -> None:
        for number, line in enumerate(lines, 1):
            event, _, _ = decode_event(line)
            self._enqueue(wrap(line, event), event.org_id if keyed else None)
            if self._ended:
                return
            if number % POLL_EVERY == 0:
                self._producer.poll(0)

    def _enqueue(self, record: Wrapped, key: str | None) -> None:
        while not self._ended:
            try:
                self._producer.produce(self._topic, record.value, key=key, headers=record.headers)
            except BufferError:
                self._producer.poll(WAIT_SECONDS)
            except KafkaException as error:
                self._deliveries.fail(error.args[0], record.value)
                return
            else:
                return

    def wait(self) -> None:
        """Wait for all answers; where it has ended, for those to records that are under way."""
        for _ in range(WAITS):
            if self._ended:
                self._producer.purge(in_queue=True, in_flight=False)
                self._producer.flush(LAST_SECONDS)
                return
            if not self._producer.flush(WAIT_SECONDS):
                return
