"""``msgmetrics replay``: a span of the topics read once more, with progress, and a sentence at the end."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import click
from tqdm import tqdm

from deploy.cli.arguments import PARTITION, TOPIC
from deploy.cli.context import FROM, TO, Context, check_span, is_terminal, say, warn
from deploy.cli.problems import command_errors
from deploy.cli.targets import require_listed
from deploy.errors import Interrupted, Usage
from pipeline.clickhouse.store import Store
from pipeline.clock import this_moment
from pipeline.core.place import Place
from pipeline.kafka.client import read_cluster_id
from pipeline.peer import Peer
from pipeline.registry.schemas import open_schemas
from pipeline.repair.replay import Replay
from pipeline.repair.replay_forecast import DryRun
from pipeline.repair.replay_progress import Replays
from pipeline.repair.replay_reading import Wanted
from pipeline.runner import Retrying
from schemas.grain import MS_PER_SECOND
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.settings import Settings

RATE = click.IntRange(1, 10_000_000)
"""No replay reads ten million records a second."""


@click.command()
@FROM
@TO
@click.option("--topic", "topics", multiple=True, type=TOPIC, help="only this one; may be repeated")
@click.option(
    "--partition",
    "partitions",
    multiple=True,
    metavar="TOPIC/NUMBER",
    help="only this one; may be repeated; of one topic the number alone will do",
)
@click.option("--rate", type=RATE, help="records per second at the most [no limit]")
@click.option("--resume", is_flag=True, help="go on with the interrupted replay of the same span")
@click.option("--dry-run", is_flag=True, help="only say what it would do")
@click.pass_obj
def replay(
    context: Context,
    start: int,
    end: int,
    topics: tuple[str, ...],
    partitions: tuple[str, ...],
    rate: int | None,
    resume: bool,
    dry_run: bool,
) -> None:
    """Read a span of all topics once more.

    By Kafka's timestamps, beside the live workers; each event still counts once. It reads from the first record of the
    span to where the log ends now, since producers' clocks differ, and takes what lies in the span. Interrupted by
    Ctrl-C or worse, it goes on with --resume.

    \b
    Examples:
      msgmetrics replay --from 2026-05-05T00:00:00Z --to 2026-05-06T00:00:00Z --dry-run
      msgmetrics replay --from 2026-05-05T00:00:00Z --to 2026-05-06T00:00:00Z --partition message-events/3
    """
    span = check_span(start, end)
    settings = context.settings
    named = frozenset(require_listed(settings, topic) for topic in topics)
    places = frozenset(named_place(text, sorted(named or settings.topics)) for text in partitions)
    wanted = Wanted(span.start * MS_PER_SECOND, span.end * MS_PER_SECOND, places, named, rate or 0)
    work = forecast if dry_run else run_replay
    say(work(settings, wanted, resume=resume, watched=is_terminal()))


def named_place(text: str, topics: Sequence[str]) -> Place:
    """The partition that TOPIC/NUMBER names, or NUMBER where there is one topic. Raises Usage."""
    found = PARTITION.fullmatch(text)
    if found is None or (found["topic"] is None and len(topics) > 1):
        alone = "" if len(topics) > 1 else ", or its number alone"
        raise Usage(f"a partition is named as topic/number, like {topics[0]}/3{alone}; not {text!r}")
    place = Place(found["topic"] or topics[0], int(found["number"]))
    if place.topic not in topics:
        raise Usage(f"{place} is no partition of {' or '.join(topics)}, of which the replay is")
    return place


def _open_store(settings: Settings, cluster_id: str) -> Store:
    where, retention = (settings.clickhouse, cluster_id, "replay"), settings.facts_retention_days
    return Store(*where, timeout_seconds=LONGEST_STATEMENT_SECONDS, retention_days=retention)


def run_replay(settings: Settings, wanted: Wanted, *, resume: bool, watched: bool) -> str:
    """Replay, and say what was done. Raises Unreachable, Refused or Interrupted."""
    with tqdm(desc="replaying", unit=" records", disable=not watched) as bar:
        try:
            return _run(settings, _replay(settings, wanted, bar, resume=resume))
        except KeyboardInterrupt:
            raise Interrupted("interrupted; the same command with --resume goes on from there") from None


def forecast(settings: Settings, wanted: Wanted, *, resume: bool, watched: bool) -> str:
    """Say what a replay would do. Raises Unreachable, Refused or Usage."""
    if resume:
        raise Usage("--dry-run looks at a whole span; leave --resume out")
    with tqdm(desc="looking", unit=" records", disable=not watched) as bar:
        return _run(settings, _forecast(settings, wanted, bar))


def _run(settings: Settings, work: Coroutine[Any, Any, str]) -> str:
    with command_errors(settings):
        return asyncio.run(work)


async def _replay(settings: Settings, wanted: Wanted, bar: tqdm, *, resume: bool) -> str:
    store = _open_store(settings, await read_cluster_id(settings))
    await asyncio.to_thread(store.read_stored)  # which incarnations of the topics they are
    retrying = Retrying(store.perform, Peer("ClickHouse"), warn=warn)
    done = await Replay(
        settings=settings,
        perform=retrying,
        replays=Replays(store, retrying.call),
        wanted=wanted,
        clock=this_moment,
        gaps=await asyncio.to_thread(store.read_gaps),
        schemas=open_schemas(settings, time.monotonic),
        on_start=bar.reset,
        on_progress=lambda passed: bar.update(passed - bar.n),
    ).run(resume=resume)
    left = {
        "too late or in the future, which a replay leaves as they are": done.out_of_time,
        "of unknown schemas, which it leaves as well": done.without_schema,
        "dropped since their organization was erased": done.erased,
    }
    more = "".join(f", {count} {why}" for why, count in left.items() if count)
    return f"replayed {done.records} records: {done.facts} events, {done.dead_letters} dead letters{more}"


async def _forecast(settings: Settings, wanted: Wanted, bar: tqdm) -> str:
    store = _open_store(settings, await read_cluster_id(settings))
    await asyncio.to_thread(store.read_stored)  # which incarnations of the topics they are
    f = await DryRun(
        settings=settings,
        store=store,
        wanted=wanted,
        clock=this_moment,
        gaps=await asyncio.to_thread(store.read_gaps),
        schemas=open_schemas(settings, time.monotonic),
        on_start=bar.reset,
        on_progress=lambda passed: bar.update(passed - bar.n),
    ).run()
    return (
        f"would read {f.records} records: {f.new_facts} new facts, {f.duplicates} duplicates, {f.new_dead_letters} new "
        f"dead letters, {f.known_dead_letters} known ones, {f.out_of_time} too late or in the future, which a replay "
        f"leaves as they are, {f.without_schema} of unknown schemas, which it leaves as well, {f.erased} of erased "
        "organizations"
    )
