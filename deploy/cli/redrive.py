"""``msgmetrics dead-letters redrive``: dead letters sent back to the topics that they came from, or to another."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import click
import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from deploy.cli.arguments import TOPIC, choice
from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, say
from deploy.cli.kafka import client_settings, describe_topics
from deploy.cli.letters import REDRIVEN_HEADER, Filter, Letter, filtered, letter_id, read_letters, say_left_out
from deploy.cli.spool import Spool
from deploy.cli.targets import Targets, require_listed
from deploy.cli.topic_checks import missing
from deploy.errors import CommandError, Refused, Unreachable
from pipeline.clickhouse.store import Store
from pipeline.core.place import Place
from pipeline.kafka.raw_produce import RawRecord, is_plain, produce_raw
from schemas import tables
from schemas.instant import wall_clock_ms
from schemas.message_event import DeadLetterReason
from schemas.settings import Settings

PAGE_LETTERS, PAGE_BYTES = 1_000, 16 << 20
"""Letters are sent, waited for and noted in pages of at most so many, and of hardly more bytes."""
DELIVERY_SECONDS, LAST_SECONDS = 60, 5
POLL_SECONDS = 0.2
SHOWN = 20
MESSAGE_BYTES = 100_000_000
"""The client's own limit. The default, a million, is below what topics take; brokers answer to what is above theirs,
but to a request of more than 100 MiB, at which they break off the connection."""
TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
UNFIT = TOO_LARGE | {KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP}
"""Errors that are about one letter, and say nothing of the next."""


@click.command("redrive")
@filtered
@click.option("--again", is_flag=True, help="also those that were sent back before")
@choice("--to-topic", TOPIC, "send all of them to this topic [each to its own]")
@click.option("--dry-run", is_flag=True, help="only count")
@click.pass_obj
def redrive(context: Context, wanted: Filter, again: bool, to_topic: str, dry_run: bool) -> None:
    """Send dead letters back to their topics, with key, value and headers as they were.

    A header marks them, so that one that fails again is not sent for ever. An event that is valid now counts once. Exit
    code 1 when Kafka does not take a letter, as one that is too large for the topic: it is left, and the rest is sent.
    A letter of a topic that is no longer read, or does not exist, is left too, unless --to-topic names another.

    \b
    Examples:
      msgmetrics dead-letters redrive --reason future_timestamp --dry-run
      msgmetrics dead-letters redrive --topic old-events --to-topic message-events
    """
    to = to_topic and require_listed(context.settings, to_topic)

    def work(store: Store, settings: Settings) -> None:
        say_left_out(store, wanted)
        states = describe_topics(settings)
        if to and (problems := missing(settings.topics, {to: states[to]})):
            raise Refused(problems[0])
        existing = frozenset(topic for topic, state in states.items() if state.partitions)
        targets = Targets(frozenset(settings.topics), existing, to)
        send_back(store, settings, wanted, targets, again=again, dry_run=dry_run, tell=say, clock=time.monotonic)

    with_store(context, work, org=wanted.org)


@dataclass(slots=True)
class Redriven:
    """Counts of a redrive by outcome. Letters that were sent back before, or whose event is counted, are left alone.

    ``refused`` has a sentence for each letter that Kafka does not take, ``nowhere`` the topic of each that would have
    been sent and has no topic to be sent to.
    """

    targets: Targets
    sent: int = 0
    sent_before: int = 0
    looping: int = 0
    resolved: int = 0
    unreadable: int = 0
    refused: list[str] = field(default_factory=list)
    nowhere: list[str] = field(default_factory=list)

    def choose(self, letters: Iterable[Letter], *, again: bool) -> Iterator[Letter]:
        """The letters to send, the others counted."""
        for letter in letters:
            if letter.reason == DeadLetterReason.UNREADABLE_RECORD:
                self.unreadable += 1
            elif letter.is_resolved:
                self.resolved += 1
            elif letter.redrives and not again:
                self.sent_before += 1
            elif letter.was_redriven and not again:
                self.looping += 1
            elif not self.targets.of(letter.place.topic):
                self.nowhere.append(letter.place.topic)
            else:
                yield letter

    def sentences(self, *, dry_run: bool) -> list[str]:
        return [self._sentence(dry_run=dry_run), *self.targets.refusals(self.nowhere)]

    def _sentence(self, *, dry_run: bool) -> str:
        done = "would be sent" if dry_run else "sent"
        refused = f"{len(self.refused)} that Kafka does not take, " if self.refused else ""
        refused += f"{len(self.nowhere)} that have no topic to go to, " if self.nowhere else ""
        refused += f"{self.unreadable} that are no records, " if self.unreadable else ""
        return (
            f"{self.sent} dead letters {done} back; left alone: {refused}{self.resolved} whose event is counted by "
            f"now, {self.sent_before} that were sent back before, {self.looping} that are records which were sent back "
            "and failed again (--again takes both)"
        )


def send_back(
    store: Store,
    settings: Settings,
    wanted: Filter,
    targets: Targets,
    *,
    again: bool,
    dry_run: bool,
    tell: Callable[..., None],
    clock: Callable[[], float],
) -> None:
    """Send letters back as new records with key, value and headers as they were, marked by a header; tell how many.

    Each is sent on its own merits, and noted as sent back after the brokers acknowledged it: sent twice after a crash,
    its event counts once. What was sent is told of and noted whatever ends it. Raises CommandError with the letters
    that Kafka does not take, Unreachable where it takes none.
    """
    tally = Redriven(targets)
    chosen = tally.choose(read_letters(store, wanted), again=again)
    try:
        if dry_run:
            tally.sent = sum(1 for _ in chosen)
        else:
            sender = _Sender(store, settings, wanted.cluster_id(store), tally, clock)
            for page in pages(spooled(chosen)):
                sender.send(page)
    finally:
        tell(*tally.sentences(dry_run=dry_run))
    if tally.refused:
        more = len(tally.refused) - SHOWN
        raise CommandError("\n".join([*tally.refused[:SHOWN], *([f"… and {more} more"] if more > 0 else [])]))
    if any(topic in targets.listed for topic in tally.nowhere):
        raise CommandError("letters of a topic on the list were left; see that it exists, and may be described")


def spooled(letters: Iterable[Letter]) -> Iterator[Letter]:
    """The letters, all of which are read before the first is given. Raises Refused."""
    with Spool() as spool:
        for letter in letters:
            spool.add(msgspec.json.encode(letter))
        for line in spool.lines():
            yield msgspec.json.decode(line, type=Letter)


def pages(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """The letters in lists that are bounded by number and by bytes."""
    page: list[Letter] = []
    size = 0
    for letter in letters:
        page.append(letter)
        size += len(letter.value or b"")
        if len(page) >= PAGE_LETTERS or size >= PAGE_BYTES:
            yield page
            page, size = [], 0
    if page:
        yield page


class _Sender:
    """A producer of pages of letters, which are noted once the brokers have acknowledged them."""

    def __init__(
        self, store: Store, settings: Settings, cluster_id: str, tally: Redriven, clock: Callable[[], float]
    ) -> None:
        self._store, self._settings, self._cluster_id = store, settings, cluster_id
        self._tally, self._clock = tally, clock
        config = {
            "enable.idempotence": True,
            "message.timeout.ms": DELIVERY_SECONDS * 1000,
            "message.max.bytes": MESSAGE_BYTES,
            "batch.num.messages": 1,  # brokers refuse a whole batch for its size
        }
        self._producer = Producer(client_settings(settings, **config))
        self._acknowledged: list[Letter] = []
        self._odd: list[Letter] = []
        """Letters with names of headers that this producer cannot send."""
        self._problem = ""

    def send(self, page: Iterable[Letter]) -> None:
        """Send a page, wait for the brokers, and note what they have. Raises Unreachable where they take none."""
        try:
            for letter in page:
                self._offer(letter)
            self._await(DELIVERY_SECONDS + LAST_SECONDS)
            self._send_odd()
        except BaseException:  # Ctrl-C too: what is under way may arrive, the rest must not
            self._producer.purge(in_flight=False)
            self._await(LAST_SECONDS)
            raise
        finally:
            self._note()
        if self._problem:
            raise Unreachable(f"Kafka did not take all letters ({self._problem}); run it again, it goes on from there")

    def _offer(self, letter: Letter) -> None:
        headers = _marked(letter)
        if not is_plain(headers):
            self._odd.append(letter)
            return
        try:
            self._producer.produce(
                self._tally.targets.of(letter.place.topic),
                letter.value,
                key=letter.key,
                headers=[(name.decode(), value) for name, value in headers],
                on_delivery=partial(self._answered, letter),
            )
        except KafkaException as refused:  # before it is sent
            self._answered(letter, refused.args[0], None)

    def _send_odd(self) -> None:
        """Send what has odd headers to partitions of the same numbers, as far as there are such.

        Raises KafkaError of aiokafka where nothing was sent.
        """
        now_ms, odd = wall_clock_ms(), self._odd
        self._odd = []
        places = [Place(self._tally.targets.of(x.place.topic), x.place.number) for x in odd]
        records = [RawRecord(p, now_ms, x.key, x.value, _marked(x)) for p, x in zip(places, odd, strict=True)]
        codes = asyncio.run(produce_raw(self._settings, records)) if odd else []
        for letter, code in zip(odd, codes, strict=True):
            self._answered(letter, KafkaError(code) if code else None, None)

    def _await(self, seconds: float) -> None:
        """Wait until every record is acknowledged or refused; in short turns, since Ctrl-C counts between them."""
        deadline = self._clock() + seconds
        while len(self._producer) and self._clock() < deadline:
            try:
                self._producer.poll(POLL_SECONDS)
            except (KafkaException, SystemError) as error:  # a fatal one; the driver wraps it in a delivery report
                self._problem = str(error.__cause__ or error)
                return
        if len(self._producer) and not self._problem:
            self._problem = "no answer"

    def _answered(self, letter: Letter, error: KafkaError | None, _: Message | None) -> None:
        if error is None:
            self._acknowledged.append(letter)
        elif error.code() in UNFIT:
            self._tally.refused.append(_refusal(letter, error))
        else:
            self._problem = error.str()

    def _note(self) -> None:
        names = ["cluster_id", "topic", "partition", "offset", "incarnation"]
        rows = [(self._cluster_id, *x.place, x.offset, x.incarnation) for x in self._acknowledged]
        self._tally.sent += len(rows)
        self._acknowledged = []
        if rows:
            self._store.insert("noting a redrive", tables.REDRIVES, names, rows)


def _marked(letter: Letter) -> list[tuple[bytes, bytes | None]]:
    """The headers of a letter's record, with the one that says that it was sent back, and from where."""
    headers = [(name, value) for name, value in letter.headers if name != REDRIVEN_HEADER]
    return [*headers, (REDRIVEN_HEADER, letter_id(letter).encode())]


def _refusal(letter: Letter, error: KafkaError) -> str:
    """The sentence on a letter that Kafka does not take."""
    size = len(letter.value or b"") + len(letter.key or b"") + sum(len(value or b"") for _, value in letter.headers)
    remedy = "raise max.message.bytes of the topic, or " if error.code() in TOO_LARGE else ""
    return (
        f"{letter_id(letter)} was left ({size} bytes): {error.str()}; {remedy}export it, and produce its event in "
        "another form"
    )
