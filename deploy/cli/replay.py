"""The command ``replay``: progress for a person, and a sentence at the end."""

import asyncio

import click
from aiokafka.errors import KafkaError
from tqdm import tqdm

from deploy.errors import Refused, Unreachable, Usage
from pipeline.clickhouse.store import Store
from pipeline.errors import SinkUnavailable, Stop
from pipeline.kafka.client import read_cluster_id
from pipeline.peer import Peer
from pipeline.repair.replay import Replay
from pipeline.repair.replay_forecast import DryRun
from pipeline.repair.replay_progress import Replays
from pipeline.repair.replay_reading import Wanted
from pipeline.runner import Retrying
from schemas.instant import wall_clock_ms
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.settings import Settings


def _open_store(settings: Settings, cluster_id: str) -> Store:
    return Store(settings.clickhouse, cluster_id, settings.kafka_topic, "replay", LONGEST_STATEMENT_SECONDS)


def run_replay(settings: Settings, wanted: Wanted, floor_ms: int, *, resume: bool, watched: bool) -> str:
    """Replay, and say what was done. Raises Unreachable or Refused."""
    with tqdm(desc="replaying", unit=" records", disable=not watched) as bar:
        return _run(settings, _replay(settings, wanted, floor_ms, bar, resume=resume))


def forecast(settings: Settings, wanted: Wanted, floor_ms: int, *, resume: bool, watched: bool) -> str:
    """Say what a replay would do. Raises Unreachable, Refused or Usage."""
    if resume:
        raise Usage("--dry-run looks at a whole span; leave --resume out")
    with tqdm(desc="looking", unit=" records", disable=not watched) as bar:
        return _run(settings, _forecast(settings, wanted, floor_ms, bar))


def _run(settings: Settings, work: object) -> str:
    try:
        return asyncio.run(work)  # type: ignore[arg-type]
    except KafkaError as error:
        raise Unreachable(f"Kafka does not answer at {settings.kafka_bootstrap} ({error!r})") from None
    except SinkUnavailable as error:
        raise Unreachable(str(error)) from None
    except Stop as error:
        raise Refused(str(error)) from None


async def _replay(settings: Settings, wanted: Wanted, floor_ms: int, bar: tqdm, *, resume: bool) -> str:
    store = _open_store(settings, await read_cluster_id(settings))
    stored = await asyncio.to_thread(store.read_stored)

    def warn(problem: str) -> None:
        click.echo(f"waiting: {problem}", err=True)

    retrying = Retrying(store.perform, Peer("ClickHouse"), warn=warn)
    done = await Replay(
        settings=settings,
        perform=retrying,
        replays=Replays(store, retrying.call),
        wanted=wanted,
        clock_ms=wall_clock_ms,
        floor_ms=floor_ms,
        known_offsets={p: s.next_offset for p, s in stored.items()},
        on_start=bar.reset,
        on_progress=lambda passed: bar.update(passed - bar.n),
    ).run(resume=resume)
    erased = f", {done.erased} dropped since their organization was erased" if done.erased else ""
    return f"replayed {done.records} records: {done.facts} events, {done.dead_letters} dead letters{erased}"


async def _forecast(settings: Settings, wanted: Wanted, floor_ms: int, bar: tqdm) -> str:
    store = _open_store(settings, await read_cluster_id(settings))
    stored = await asyncio.to_thread(store.read_stored)
    f = await DryRun(
        settings=settings,
        store=store,
        wanted=wanted,
        clock_ms=wall_clock_ms,
        floor_ms=floor_ms,
        known_offsets={p: s.next_offset for p, s in stored.items()},
        on_start=bar.reset,
        on_progress=bar.update,
    ).run()
    return (
        f"would read {f.records} records: {f.new_facts} new facts, {f.duplicates} duplicates, {f.new_dead_letters} new "
        f"dead letters, {f.known_dead_letters} known ones, {f.erased} of erased organizations"
    )
