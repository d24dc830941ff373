"""``msgmetrics produce``: validate every line of a file, then send them all. Constant memory."""

import gzip
import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click
import zstandard
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from tqdm import tqdm

from deploy.cli.context import Context, is_terminal, say
from deploy.cli.kafka import client_settings, describe_topic
from deploy.errors import CommandError, Unreachable, Usage
from pipeline.core.decode import decode_event
from pipeline.core.refusal import explain
from schemas.settings import Settings

MAX_PROBLEMS_SHOWN = 20
QUEUE_RECORDS = 500_000
POLL_EVERY = 1_000
FLUSH_SECONDS = 60
COPY_BYTES = 1 << 20


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--dry-run", is_flag=True, help="only check the lines")
@click.option("--no-key", is_flag=True, help="send without a key instead of keying by org_id")
@click.pass_obj
def produce(context: Context, file: str, dry_run: bool, no_key: bool) -> None:
    """Publish a file of events.

    One JSON object a line; plain, .gz or .zst, or - for standard input. Nothing is sent unless every line is valid.

    \b
    Example:
      msgmetrics produce events.ndjson.zst
    """
    say(produce_file(context.settings, file, dry_run=dry_run, keyed=not no_key))


@contextmanager
def open_events(name: str) -> Iterator[IO[bytes]]:
    """The lines of a file (plain, .gz or .zst) or of standard input, which is kept in a temporary file.

    Raises Usage where the file cannot be read.
    """
    if name == "-":
        with tempfile.TemporaryFile() as spool:
            while block := sys.stdin.buffer.read(COPY_BYTES):
                spool.write(block)
            spool.seek(0)
            yield spool
        return
    path = Path(name)
    try:
        raw: IO[bytes] = path.open("rb")
    except OSError as error:
        raise Usage(f"{name} cannot be read: {error.strerror}") from None
    with raw:
        yield _uncompressed(path, raw)


def _uncompressed(path: Path, raw: IO[bytes]) -> IO[bytes]:
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), COPY_BYTES)
    if path.suffix == ".zst":
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw), COPY_BYTES)
    return raw


def lines(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Non-empty lines with their numbers, counted from 1. Raises Usage where the file cannot be uncompressed."""
    try:
        for number, line in enumerate(source, 1):
            if text := line.strip():
                yield number, text
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise Usage(f"the file cannot be uncompressed: {error}") from None


def validate(source: IO[bytes], echo: bool) -> tuple[int, list[str], int]:
    """Check every line. Returns how many are good, sentences for the first bad ones, and how many are bad."""
    good, bad = 0, 0
    problems: list[str] = []
    for number, line in tqdm(lines(source), "checking", unit=" events", disable=not echo):
        try:
            decode_event(line)
            good += 1
        except Exception as error:
            bad += 1
            if len(problems) < MAX_PROBLEMS_SHOWN:
                reason, sentence = explain(error, line)
                problems.append(f"line {number}: {reason}: {sentence}")
    return good, problems, bad


class _Deliveries:
    """Delivery reports: how many records the brokers acknowledged, and the last error."""

    def __init__(self) -> None:
        self.delivered, self.failed, self.last_error = 0, 0, ""

    def __call__(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.failed, self.last_error = self.failed + 1, error.str()


def send(settings: Settings, source: IO[bytes], *, keyed: bool, echo: bool) -> int:
    """Send every line; returns how many were acknowledged. Raises Unreachable where that is not all of them."""
    deliveries = _Deliveries()
    producer = Producer(
        client_settings(
            settings,
            **{
                "linger.ms": 20,
                "compression.type": "lz4",
                "enable.idempotence": True,
                "queue.buffering.max.messages": QUEUE_RECORDS,
                "message.timeout.ms": FLUSH_SECONDS * 1000,
                "on_delivery": deliveries,
            },
        )
    )
    sent = 0
    for sent, (_, line) in enumerate(tqdm(lines(source), "sending", unit=" events", disable=not echo), 1):
        key = decode_event(line)[0].org_id if keyed else None
        _enqueue(producer, settings.kafka_topic, line, key)
        if sent % POLL_EVERY == 0:
            producer.poll(0)
    try:
        producer.flush(FLUSH_SECONDS)
    except (
        KafkaException,
        SystemError,
    ) as error:  # a fatal one; the driver wraps it when a delivery is reported with it
        deliveries.last_error = str(error.__cause__ or error)
    if deliveries.delivered != sent:
        raise Unreachable(
            f"{deliveries.delivered} of {sent} events were acknowledged ({deliveries.last_error or 'no answer'}); "
            "sending the file again is safe, since an event counts once"
        )
    return sent


def _enqueue(producer: Producer, topic: str, line: bytes, key: str | None) -> None:
    while True:
        try:
            producer.produce(topic, line, key=key)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def produce_file(settings: Settings, name: str, *, dry_run: bool, keyed: bool) -> str:
    """Validate, then send. Returns a sentence; raises CommandError with every problem where a line is bad."""
    echo = is_terminal()
    with open_events(name) as source:
        good, problems, bad = validate(source, echo)
        if bad:
            more = [f"… and {bad - len(problems)} more"] if bad > len(problems) else []
            ending = f"{bad} of {good + bad} lines are not events; nothing was sent"
            raise CommandError("\n".join([*problems, *more, ending]))
        if dry_run:
            return f"{good} events are valid; nothing was sent"
        if not describe_topic(settings).partitions:
            raise CommandError(f"the topic {settings.kafka_topic} does not exist; run `msgmetrics migrate`")
        if name == "-":
            source.seek(0)
            return _sent(settings, send(settings, source, keyed=keyed, echo=echo))
    with open_events(name) as again:
        return _sent(settings, send(settings, again, keyed=keyed, echo=echo))


def _sent(settings: Settings, count: int) -> str:
    return f"{count} events sent to {settings.kafka_topic}"
