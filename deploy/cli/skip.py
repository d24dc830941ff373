"""``msgmetrics skip``: accept that some offsets are lost."""

import asyncio

import click

from deploy.cli.arguments import parse_offsets
from deploy.cli.clickhouse import open_store
from deploy.cli.context import Context, confirm, say
from deploy.cli.problems import command_errors
from deploy.errors import Unreachable, Usage
from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.core.waiting import LONGEST_PAUSE_SECONDS
from pipeline.kafka.client import read_cluster_id
from pipeline.repair.loss import Loss, find_loss
from pipeline.repair.replay_reading import open_consumer
from schemas.settings import Settings


@click.command()
@click.argument("offsets", metavar="TOPIC/PARTITION/FROM[-TO]")
@click.option("--yes", is_flag=True, help="do not ask")
@click.pass_obj
def skip(context: Context, offsets: str, yes: bool) -> None:
    """Accept that records are lost, so that their partition goes on.

    For offsets that cannot be read: a damaged batch that no broker has a better copy of, or records that were deleted
    before they were read. TO is the last of them; without it, the end of the batch or of the gap. Workers, replays and
    dry runs leave them out from then on. What can be read is never left out.

    \b
    Examples:
      msgmetrics skip message-events/3/1500
      msgmetrics skip message-events/3/1500-1519 --yes
    """
    settings = context.settings
    place, start, last = what_to_skip(offsets, settings.topics[0])
    with command_errors(settings):
        loss, cluster_id = asyncio.run(_look(settings, place, start, last))
        gap = loss.gap(last)
        say(sentence(loss, gap))
        if not yes:
            confirm("Accept the loss? They will not be read again")
        store = open_store(settings, cluster_id)
        store.read_stored()  # which incarnation of the topic it is
        store.record_gap(place, gap)
    say(f"accepted; a worker that waits for it goes on within {LONGEST_PAUSE_SECONDS:g} s")


def what_to_skip(text: str, some_topic: str) -> tuple[Place, int, int | None]:
    """The partition, and the first and last offset (None where not named). Raises Usage, with an example."""
    found = parse_offsets(text)
    if found is None:
        raise Usage(
            f"what to skip is topic/partition/from or topic/partition/from-to, like "
            f"{some_topic}/3/1500-1519; not {text!r}"
        )
    place, start, last = found
    if last is not None and last < start:
        raise Usage(f"the last offset to skip, {last}, is before the first, {start}; name them the other way round")
    return place, start, last


async def _look(settings: Settings, place: Place, start: int, last: int | None) -> tuple[Loss, str]:
    try:
        async with open_consumer(settings) as consumer:
            return await find_loss(consumer, place, start, last), await read_cluster_id(settings)
    except TimeoutError:
        raise Unreachable(f"no broker answers for partition {place}; nothing is lost by that") from None


def sentence(loss: Loss, gap: Gap) -> str:
    """The offsets that are about to be left out, and why."""
    number = gap.to_offset - gap.from_offset
    which = (
        f"offset {gap.from_offset}" if number == 1 else f"offsets {gap.from_offset} to {gap.to_offset - 1} ({number})"
    )
    return f"partition {loss.place}: {which} cannot be read: {loss.why}"
