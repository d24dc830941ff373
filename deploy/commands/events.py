"""Events on their way: produce, replay, and dead letters."""

import sys
from typing import Any

import click

from deploy.cli.context import FROM, INSTANT, TO, Context, check_span, is_terminal, retention_floor_ms, with_store
from schemas.grain import MS_PER_SECOND
from schemas.settings import Settings


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
    from deploy.cli.produce import produce_file

    click.echo(produce_file(context.settings, file, dry_run=dry_run, keyed=not no_key))


@click.command()
@FROM
@TO
@click.option("--partition", "partitions", multiple=True, type=click.IntRange(0), help="only this one; may be repeated")
@click.option("--rate", default=0, type=click.IntRange(0), help="records per second at the most [no limit]")
@click.option("--resume", is_flag=True, help="go on with the interrupted replay of the same span")
@click.option("--dry-run", is_flag=True, help="only say what it would do")
@click.pass_obj
def replay(
    context: Context, start: int, end: int, partitions: tuple[int, ...], rate: int, resume: bool, dry_run: bool
) -> None:
    """Read a span of the topic once more.

    By Kafka's timestamps, beside the live workers; each event still counts once. The span ends where the log ends now.
    Interrupted by Ctrl-C or worse, it goes on with --resume.

    \b
    Example:
      msgmetrics replay --from 2026-05-05T00:00:00Z --to 2026-05-06T00:00:00Z --dry-run
    """
    from deploy.cli.replay import forecast, run_replay
    from pipeline.repair.replay_reading import Wanted

    span = check_span(start, end)
    wanted = Wanted(span.start * MS_PER_SECOND, span.end * MS_PER_SECOND, frozenset(partitions), rate)
    settings = context.settings
    work = forecast if dry_run else run_replay
    click.echo(work(settings, wanted, retention_floor_ms(settings), resume=resume, watched=is_terminal()))


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that broke the contract.

    Kept with the reason and the original bytes.

    \b
    Example:
      msgmetrics dead-letters list --reason future_timestamp
    """


REASON = click.option("--reason", default="", help="only this reason")
OF_ORG = click.option("--org", default="", metavar="ORG", help="only those that name this organization")
SINCE = click.option("--from", "start", default=0, type=INSTANT, help="only records from this time on")
UNTIL = click.option("--to", "end", default=None, type=INSTANT, help="only records before this time")


def _filter(reason: str, org: str, start: int, end: int | None) -> Any:
    from deploy.cli.letters import MAX_MS, Filter, check_reason

    return Filter(check_reason(reason), org, start * MS_PER_SECOND, MAX_MS if end is None else end * MS_PER_SECOND)


@dead_letters.command("list")
@REASON
@OF_ORG
@SINCE
@UNTIL
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="letters shown")
@click.pass_obj
def letters_list(context: Context, reason: str, org: str, start: int, end: int | None, limit: int) -> None:
    """How many there are by reason, and the first of them.

    \b
    Example:
      msgmetrics dead-letters list --reason future_timestamp --org acme
    """
    from deploy.cli.letters import listing

    wanted = _filter(reason, org, start, end)
    click.echo(with_store(context, lambda store, _: listing(store, wanted, limit)))


@dead_letters.command("show")
@click.argument("letter_id", metavar="ID")
@click.pass_obj
def letters_show(context: Context, letter_id: str) -> None:
    """Everything about the dead letter ID, which is topic/partition/offset, its bytes included.

    \b
    Example:
      msgmetrics dead-letters show message-events/0/1234
    """
    from deploy.cli.letters import describe, parse_place

    place = parse_place(letter_id, context.settings.kafka_topic)
    click.echo(with_store(context, lambda store, _: describe(store, place)))


@dead_letters.command("export")
@REASON
@OF_ORG
@SINCE
@UNTIL
@click.pass_obj
def letters_export(context: Context, reason: str, org: str, start: int, end: int | None) -> None:
    """All of them as NDJSON on stdout, bytes as base64.

    \b
    Example:
      msgmetrics dead-letters export --from 2026-05-05T00:00:00Z
    """
    from deploy.cli.letters import as_line, read_letters

    wanted = _filter(reason, org, start, end)

    def export(store: Any, _: Settings) -> None:
        for letter in read_letters(store, wanted):
            sys.stdout.buffer.write(as_line(store.topic, letter) + b"\n")

    with_store(context, export)


@dead_letters.command("redrive")
@REASON
@OF_ORG
@SINCE
@UNTIL
@click.option("--again", is_flag=True, help="also those that were sent back before")
@click.option("--dry-run", is_flag=True, help="only count")
@click.pass_obj
def letters_redrive(
    context: Context, reason: str, org: str, start: int, end: int | None, again: bool, dry_run: bool
) -> None:
    """Send dead letters back to the topic, with key, value and headers as they were.

    A header marks them, so that one that fails again is not sent for ever. An event that is valid now counts once.

    \b
    Example:
      msgmetrics dead-letters redrive --reason future_timestamp --dry-run
    """
    from deploy.cli.redrive import redrive

    wanted = _filter(reason, org, start, end)
    click.echo(with_store(context, lambda store, s: redrive(store, s, wanted, again=again, dry_run=dry_run)))
