"""``msgmetrics produce``: check every line of a file, then send them all. It is read once, in constant memory."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import click
from confluent_kafka import Producer
from tqdm import tqdm

from deploy.cli.arguments import TOPIC, choice
from deploy.cli.context import Context, is_terminal, say
from deploy.cli.enveloping import DEFAULT_SOURCE, EnvelopeName, Wrap, plain, wrap_of
from deploy.cli.event_check import Horizon, check
from deploy.cli.event_file import event_lines, title_of
from deploy.cli.event_sending import Connect, send
from deploy.cli.interruption import Interruption
from deploy.cli.kafka import describe_topics
from deploy.cli.spool import Spool
from deploy.cli.targets import topic_to_send_to
from deploy.cli.topic_checks import missing
from deploy.errors import CommandError
from pipeline.core.envelope.frames import HIGHEST_ID
from schemas.instant import wall_clock_ms
from schemas.settings import Settings

SCHEMA_ID = click.IntRange(1, HIGHEST_ID)
Line = TypeVar("Line", bytes, tuple[int, bytes])


class How(NamedTuple):
    """Choices of the caller on how events are sent."""

    keyed: bool = True
    anyway: bool = False
    wrap: Wrap = plain


@click.command()
@click.argument("file", metavar="FILE|-")
@choice("--topic", TOPIC, "topic to send to [the one that is read; needed where several are]")
@click.option("--dry-run", is_flag=True, help="only check the lines")
@click.option("--no-key", is_flag=True, help="send without a key instead of keying by org_id")
@click.option("--anyway", is_flag=True, help="also send events whose time is sure to make them dead letters")
@click.option(
    "--envelope",
    default="plain",
    show_default=True,
    type=click.Choice([name.value for name in EnvelopeName]),
    help="what to put around each event",
)
@click.option("--source", help=f"with CloudEvents, their source [{DEFAULT_SOURCE}]")
@click.option("--schema-id", type=SCHEMA_ID, help="with confluent-json, the number of the schema")
@click.pass_obj
def produce(
    context: Context,
    file: str,
    topic: str,
    dry_run: bool,
    no_key: bool,
    anyway: bool,
    envelope: str,
    source: str | None,
    schema_id: int | None,
) -> None:
    """Publish a file of events.

    One JSON object a line; plain, gzip or zstd, from a file, a pipe, or - for standard input. Nothing is sent unless
    every line is a valid event whose time is not sure to be refused; a file without events is an error (exit code 1).

    Each is sent as it is, or with --envelope as other systems send it: in a CloudEvent as JSON (cloudevents), as a
    CloudEvent whose attributes are headers (cloudevents-binary), or in the frame of Confluent's JSON serializer
    (confluent-json). It counts once, whatever is around it. The schema is neither looked up nor registered.

    \b
    Examples:
      msgmetrics produce events.ndjson.zst
      msgmetrics produce sent.ndjson --topic message-sent
      msgmetrics produce events.ndjson --envelope cloudevents --source /shop
      msgmetrics produce events.ndjson --envelope confluent-json --schema-id 7
    """
    wrap = wrap_of(EnvelopeName(envelope), source, schema_id)
    settings = context.settings
    target = topic_to_send_to(settings, topic)
    how = How(keyed=not no_key, anyway=anyway, wrap=wrap)
    say(produce_file(settings, target, file, how, dry_run=dry_run, clock=wall_clock_ms))


def produce_file(
    settings: Settings,
    topic: str,
    name: str,
    how: How,
    *,
    dry_run: bool,
    clock: Callable[[], int],
    connect: Connect = Producer,
) -> str:
    """Check, then send what was checked. Returns a sentence; raises CommandError with every problem of the file."""
    with Interruption("nothing was sent") as interruption, Spool() as spool:
        with event_lines(name) as lines:
            keep = None if dry_run else spool.add
            checked = check(_shown(lines, "checking"), Horizon(settings, clock), keep, anyway=how.anyway)
        checked.refuse(title_of(name))
        if checked.warning:
            say(f"msgmetrics: {checked.warning}", err=True)
        if dry_run:
            return f"{checked.events} events are valid; nothing was sent"
        if problems := missing(settings.topics, describe_topics(settings, [topic])):
            raise CommandError(problems[0])
        checked_lines = _shown(spool.lines(), "sending", checked.events)
        interruption.defer()
        send(
            settings,
            topic,
            checked_lines,
            checked.events,
            keyed=how.keyed,
            wrap=how.wrap,
            connect=connect,
            stop=interruption,
        )
    return f"{checked.events} events sent to {topic}"


def _shown(lines: Iterable[Line], doing: str, total: int | None = None) -> Iterable[Line]:
    """Lines, with progress on a terminal."""
    shown: Iterable[Line] = tqdm(lines, doing, total, unit=" events", disable=not is_terminal())
    return shown
