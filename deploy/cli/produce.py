"""``msgmetrics produce``: check every line of a file, then send them all. It is read once, in constant memory."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import click
from confluent_kafka import Producer
from tqdm import tqdm

from deploy.cli.context import Context, is_terminal, say
from deploy.cli.event_check import Horizon, check
from deploy.cli.event_file import event_lines, title_of
from deploy.cli.event_sending import Connect, send
from deploy.cli.interruption import Interruption
from deploy.cli.kafka import describe_topic
from deploy.cli.spool import Spool
from deploy.errors import CommandError
from schemas.instant import wall_clock_ms
from schemas.settings import Settings

Line = TypeVar("Line", bytes, tuple[int, bytes])


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--dry-run", is_flag=True, help="only check the lines")
@click.option("--no-key", is_flag=True, help="send without a key instead of keying by org_id")
@click.option("--anyway", is_flag=True, help="also send events whose time is sure to make them dead letters")
@click.pass_obj
def produce(context: Context, file: str, dry_run: bool, no_key: bool, anyway: bool) -> None:
    """Publish a file of events.

    One JSON object a line; plain, gzip or zstd, from a file, a pipe, or - for standard input. Nothing is sent unless
    every line is a valid event whose time is not sure to be refused; a file without events is an error (exit code 1).

    \b
    Example:
      msgmetrics produce events.ndjson.zst
    """
    sentence = produce_file(
        context.settings, file, dry_run=dry_run, keyed=not no_key, anyway=anyway, clock=wall_clock_ms
    )
    say(sentence)


def produce_file(
    settings: Settings,
    name: str,
    *,
    dry_run: bool,
    keyed: bool,
    anyway: bool,
    clock: Callable[[], int],
    connect: Connect = Producer,
) -> str:
    """Check, then send what was checked. Returns a sentence; raises CommandError with every problem of the file."""
    with Interruption("nothing was sent") as interruption, Spool() as spool:
        with event_lines(name) as lines:
            keep = None if dry_run else spool.add
            checked = check(_shown(lines, "checking"), Horizon(settings, clock), keep, anyway=anyway)
        checked.refuse(title_of(name))
        if checked.warning:
            say(f"msgmetrics: {checked.warning}", err=True)
        if dry_run:
            return f"{checked.events} events are valid; nothing was sent"
        if not describe_topic(settings).partitions:
            raise CommandError(f"the topic {settings.kafka_topic} does not exist; run `msgmetrics migrate`")
        checked_lines = _shown(spool.lines(), "sending", checked.events)
        interruption.defer()
        send(settings, checked_lines, checked.events, keyed=keyed, connect=connect, stop=interruption)
    return f"{checked.events} events sent to {settings.kafka_topic}"


def _shown(lines: Iterable[Line], doing: str, total: int | None = None) -> Iterable[Line]:
    """Lines, with progress on a terminal."""
    shown: Iterable[Line] = tqdm(lines, doing, total, unit=" events", disable=not is_terminal())
    return shown
