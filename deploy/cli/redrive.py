"""``msgmetrics dead-letters redrive``: dead letters sent back to the topic."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import click
from confluent_kafka import KafkaError, Message, Producer

from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, say
from deploy.cli.kafka import client_settings
from deploy.cli.letters import REDRIVEN_HEADER, Filter, Letter, filtered, letter_id, read_letters
from deploy.errors import Unreachable
from pipeline.clickhouse.store import Store
from schemas import tables
from schemas.settings import Settings

PAGE = 1_000
DELIVERY_SECONDS = 60


@click.command("redrive")
@filtered
@click.option("--again", is_flag=True, help="also those that were sent back before")
@click.option("--dry-run", is_flag=True, help="only count")
@click.pass_obj
def redrive(context: Context, wanted: Filter, again: bool, dry_run: bool) -> None:
    """Send dead letters back to the topic, with key, value and headers as they were.

    A header marks them, so that one that fails again is not sent for ever. An event that is valid now counts once.

    \b
    Example:
      msgmetrics dead-letters redrive --reason future_timestamp --dry-run
    """
    say(with_store(context, lambda store, s: send_back(store, s, wanted, again=again, dry_run=dry_run), org=wanted.org))


@dataclass(slots=True)
class Redriven:
    """Counts of a redrive by outcome. Letters that were sent back before, or whose event is counted, are left alone."""

    sent: int = 0
    sent_before: int = 0
    looping: int = 0
    resolved: int = 0

    def sentence(self, *, dry_run: bool) -> str:
        done = "would be sent" if dry_run else "sent"
        return (
            f"{self.sent} dead letters {done} back; left alone: {self.resolved} whose event is counted by now, "
            f"{self.sent_before} that were sent back before, {self.looping} that are records which were sent back and "
            "failed again (--again takes both)"
        )


def send_back(store: Store, settings: Settings, wanted: Filter, *, again: bool, dry_run: bool) -> str:
    """Send letters back as new records with key, value and headers as they were, marked by a header.

    A record is noted as sent back after the brokers acknowledged it: sent twice after a crash, its event counts once.
    Raises Unreachable with what was sent until then.
    """
    tally, chosen = Redriven(), []
    sender = None if dry_run else _Sender(store, settings)
    for letter in read_letters(store, wanted):
        if letter.is_resolved:
            tally.resolved += 1
        elif letter.redrives and not again:
            tally.sent_before += 1
        elif letter.was_redriven and not again:
            tally.looping += 1
        else:
            tally.sent += 1
            chosen.append(letter)
        if len(chosen) >= PAGE and sender:
            sender.send(chosen)
            chosen = []
    if sender:
        sender.send(chosen)
    return tally.sentence(dry_run=dry_run)


class _Sender:
    """A producer of pages of letters, which are noted once the brokers have acknowledged them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        config = {"enable.idempotence": True, "message.timeout.ms": DELIVERY_SECONDS * 1000}
        self._producer = Producer(client_settings(settings, **config))
        self._acknowledged: list[Letter] = []
        self._problem = ""

    def send(self, letters: Sequence[Letter]) -> None:
        """Send a page, wait for the brokers, and note what they have. Raises Unreachable where that is not all."""
        for letter in letters:
            origin = letter_id(letter).encode()
            headers = [(name, value) for name, value in letter.headers if name != REDRIVEN_HEADER]
            self._producer.produce(
                self._store.topic,
                letter.value,
                key=letter.key,
                headers=[*headers, (REDRIVEN_HEADER, origin)],
                on_delivery=partial(self._answered, letter),
            )
        self._producer.flush(DELIVERY_SECONDS)
        self._note()
        if self._problem:
            raise Unreachable(f"Kafka did not take all letters ({self._problem}); run it again, it goes on from there")

    def _answered(self, letter: Letter, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self._acknowledged.append(letter)
        else:
            self._problem = error.str()

    def _note(self) -> None:
        names = ["cluster_id", "topic", "partition", "offset"]
        rows = [(self._store.cluster_id, *letter.place, letter.offset) for letter in self._acknowledged]
        self._acknowledged = []
        if rows:
            self._store.insert("noting a redrive", tables.REDRIVES, names, rows)
