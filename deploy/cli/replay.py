"""``msgmetrics replay``: a span of the topic read once more, with progress, and a sentence at the end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import click
from tqdm import tqdm

from deploy.cli.context import FROM, TO, Context, check_span, is_terminal, say, warn
from deploy.cli.problems import command_errors
from deploy.errors import Interrupted, Usage
from pipeline.clickhouse.store import Store
from pipeline.clock import this_moment
from pipeline.core.place import Place
from pipeline.kafka.client import read_cluster_id
from pipeline.peer import Peer
from pipeline.repair.replay import Replay
from pipeline.repair.replay_forecast import DryRun
from pipeline.repair.replay_progress import Replays
from pipeline.repair.replay_reading import Wanted
from pipeline.runner import Retrying
from schemas.grain import MS_PER_SECOND
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.settings import Settings

PARTITION, RATE = click.IntRange(0, 2**31 - 1), click.IntRange(1, 10_000_000)
"""Kafka numbers partitions in 32 bits, and no replay reads ten million records a second."""


@click.command()
@FROM
@TO
@click.option("--partition", "partitions", multiple=True, type=PARTITION, help="only this one; may be repeated")
@click.option("--rate", type=RATE, help="records per second at the most [no limit]")
@click.option("--resume", is_flag=True, help="go on with the interrupted replay of the same span")
@click.option("--dry-run", is_flag=True, help="only say what it would do")
@click.pass_obj
def replay(
    context: Context, start: int, end: int, partitions: tuple[int, ...], rate: int | None, resume: bool, dry_run: bool
) -> None:
    """Read a span of the topic once more.

    By Kafka's timestamps, beside the live workers; each event still counts once. It reads from the first record of the
    span to where the log ends now, since producers' clocks differ, and takes what lies in the span. Interrupted by
    Ctrl-C or worse, it goes on with --resume.

    \b
    Example:
      msgmetrics replay --from 2026-05-05T00:00:00Z --to 2026-05-06T00:00:00Z --dry-run
    """
    span = check_span(start, end)
    places = frozenset(Place(context.settings.kafka_topic, number) for number in partitions)
    wanted = Wanted(span.start * MS_PER_SECOND, span.end * MS_PER_SECOND, places, rate or 0)
    settings = context.settings
    work = forecast if dry_run else run_replay
    say(work(settings, wanted, resume=resume, watched=is_terminal()))


def _open_store(settings: Settings, cluster_id: str) -> Store:
    where, retention = (cluster_id, settings.kafka_topic, "replay"), settings.facts_retention_days
    return Store(settings.clickhouse, *where, timeout_seconds=LONGEST_STATEMENT_SECONDS, retention_days=retention)


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
    await asyncio.to_thread(store.read_stored)  # which incarnation of the topic it is
    retrying = Retrying(store.perform, Peer("ClickHouse"), warn=warn)
    done = await Replay(
        settings=settings,
        perform=retrying,
        replays=Replays(store, retrying.call),
        wanted=wanted,
        clock=this_moment,
        gaps=await asyncio.to_thread(store.read_gaps),
        on_start=bar.reset,
        on_progress=lambda passed: bar.update(passed - bar.n),
    ).run(resume=resume)
    erased = f", {done.erased} dropped since their organization was erased" if done.erased else ""
    late = (
        f", {done.out_of_time} too late or in the future, which a replay leaves as they are" if done.out_of_time else ""
    )
    return f"replayed {done.records} records: {done.facts} events, {done.dead_letters} dead letters{late}{erased}"


async def _forecast(settings: Settings, wanted: Wanted, bar: tqdm) -> str:
    store = _open_store(settings, await read_cluster_id(settings))
    await asyncio.to_thread(store.read_stored)  # which incarnation of the topic it is
    f = await DryRun(
        settings=settings,
        store=store,
        wanted=wanted,
        clock=this_moment,
        gaps=await asyncio.to_thread(store.read_gaps),
        on_start=bar.reset,
        on_progress=lambda passed: bar.update(passed - bar.n),
    ).run()
    return (
        f"would read {f.records} records: {f.new_facts} new facts, {f.duplicates} duplicates, {f.new_dead_letters} new "
        f"dead letters, {f.known_dead_letters} known ones, {f.out_of_time} too late or in the future, which a replay "
        f"leaves as they are, {f.erased} of erased organizations"
    )
