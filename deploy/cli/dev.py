"""``msgmetrics dev``: broker, ClickHouse, worker, API and demo traffic in one process, for trying things out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from clickhouse_connect.driver.client import Client

from api.server import Server, api_server
from deploy.cli.accounts import create_key, set_tier
from deploy.cli.arguments import DIRECTORY
from deploy.cli.clickhouse import clickhouse_now
from deploy.cli.context import Context, ReaderGone, say
from deploy.cli.demo import Traffic, run_demo
from deploy.cli.dev_file import DEV_FILE, DevFile, read_dev_file, remove_dev_file, write_dev_file
from deploy.cli.endings import ended, leave
from deploy.cli.kafka import describe_topics
from deploy.cli.parts import Part, run_together, watch
from deploy.cli.topic_checks import missing
from deploy.engines.mock_kafka import MockKafka
from deploy.engines.ports import FreePorts
from deploy.errors import Refused, Unreachable, Usage
from deploy.logs import configure_logs
from deploy.migrations.apply import migrate
from deploy.sql import sql
from pipeline.worker.worker import Worker
from schemas.api_key import READ_SCOPE
from schemas.connection import connect_writer
from schemas.instant import wall_clock_ms
from schemas.settings import Settings
from schemas.tiers import Tier

if TYPE_CHECKING:
    from deploy.engines.chdb_http import ChdbHttpServer

DEMO_TIER = Tier.GROWTH
ENGINE_DIRECTORY = "clickhouse"
HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}", re.ASCII)
READY_POLL_SECONDS = 0.05
PORTS = FreePorts(range(15_000, 20_000))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="address the API listens on")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="its port; 0 picks one")
@click.option("--data", default=".data", show_default=True, type=DIRECTORY, help="directory to keep")
@click.option("--no-demo", is_flag=True, help="no demo traffic")
@click.pass_obj
def dev(context: Context, host: str, port: int, data: Path, no_demo: bool) -> None:
    """Run the whole system in one process, to try it out.

    Broker, ClickHouse, worker, API and demo traffic; the data stays in the directory.

    \b
    Example:
      msgmetrics dev --data .data --port 8080 --no-demo
    """
    try:
        settings = replace(context.settings, api_host=host, api_port=port)
        run_dev(settings, data, demo=not no_demo, own_broker=not context.names_a_broker)
    except BaseException as error:
        leave(ended(error))  # the embedded engine's threads do not survive an orderly exit of the interpreter


def run_dev(settings: Settings, data: Path, *, demo: bool, own_broker: bool) -> NoReturn:
    """Run until Ctrl-C, on a broker of its own or the one of the settings, and end the process.

    Raises Refused or Unreachable, after which the caller must end the process.
    """
    from deploy.engines.chdb_http import ChdbHttpServer  # the embedded engine is an extra

    _refuse_a_second(data)
    settings = replace(settings, api_port=settings.api_port or PORTS.take())
    _check_port(settings.api_host, settings.api_port)
    _use_directory(data, settings)
    directory = (data / ENGINE_DIRECTORY).resolve()
    engine = ChdbHttpServer(directory, password=secrets.token_urlsafe()).start()
    broker = MockKafka() if own_broker else None  # it lives as long as its object: until the process ends
    settings = replace(_with_topics(settings, broker), clickhouse_url=f"chdb://{directory}", admin_port=PORTS.take())
    client = connect_writer(settings.clickhouse_url)
    days = settings.facts_retention_days, settings.dead_letter_retention_days
    migrate(client, *days, tell=say, listed=settings.topics)
    content = _dev_file(settings, engine.url, _make_orgs(client, clickhouse_now(client)))
    is_new = not client.query(sql("cli/count_facts")).result_rows[0][0]

    def parts(stop: asyncio.Event) -> dict[str, Part]:
        worker, api = Worker(settings), api_server(settings)
        made = {
            "the worker": _work(worker, stop),
            "the API": _serve(api, stop),
            "the greeting": _greet(content, data, lambda: api.started and worker.admin.started, stop),
        }
        made |= engines(engine, broker, stop)
        return made | ({"the demo traffic": _produce(content, is_new, stop)} if demo else {})

    run_together(parts, lambda: remove_dev_file(data))


def _refuse_a_second(data: Path) -> None:
    with contextlib.suppress(Unreachable):
        running = read_dev_file(data)
        raise Refused(f"a `msgmetrics dev` runs in {data} already (pid {running.pid}); stop it or name another --data")


def _use_directory(data: Path, settings: Settings) -> None:
    """Make the directory, and log into it; all that is made is its owner's alone. Raises Refused where it cannot be."""
    os.umask(0o077)
    engine, log = data / ENGINE_DIRECTORY, data / "dev.log"
    try:
        engine.mkdir(parents=True, exist_ok=True)
        configure_logs("text", settings.log_level, log)
        engine.chmod(0o700)  # those that an older version made are open to all
        log.chmod(0o600)
    except (OSError, ValueError) as error:
        raise Refused(f"{data} cannot be used ({error}); name another directory with --data") from None


def _with_topics(settings: Settings, broker: MockKafka | None) -> Settings:
    """The settings with this broker, whose topics are made; without one they must be there. Raises Refused."""
    if broker is not None:
        for topic in settings.topics:
            broker.create_topic(topic)
        cluster_id = f"dev-{os.getpid()}-{time.time_ns()}"  # its log is lost with it: another one is another cluster
        return replace(settings, kafka_bootstrap=broker.bootstrap, kafka_cluster_id=cluster_id)
    if refused := missing(settings.topics, describe_topics(settings)):
        raise Refused("\n".join(refused))
    return settings


def _check_port(host: str, port: int) -> None:
    """Raise Usage or Refused where the API could not listen there. An empty host would be every address there is."""
    if HOST.fullmatch(host) is None:
        raise Usage(f"--host must be an address or a name, not {host!r}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError) as error:  # a UnicodeError for what cannot be a name
            why = getattr(error, "strerror", None) or error
            at = f"{host}:{port}"
            raise Refused(f"{at!r} cannot be used ({why}); choose others with --host and --port") from None


def _make_orgs(client: Client, now: datetime) -> dict[str, dict[str, str]]:
    made = {}
    for tier in Tier:
        org = f"demo-{tier.value}"
        set_tier(client, org, tier)
        made[tier.value] = {"org_id": org, "api_key": create_key(client, org, (READ_SCOPE,), None, now)}
    return made


def _dev_file(settings: Settings, clickhouse_url: str, orgs: dict[str, dict[str, str]]) -> DevFile:
    return DevFile(
        pid=os.getpid(),
        api_url=f"http://{settings.api_host}:{settings.api_port}",
        admin_url=f"http://{settings.admin_host}:{settings.admin_port}",
        clickhouse_url=clickhouse_url,
        kafka_bootstrap=settings.kafka_bootstrap,
        kafka_cluster_id=settings.kafka_cluster_id,
        topics=settings.topics,
        orgs=orgs,
    )


def _greeting(found: DevFile) -> str:
    keys = "\n".join(f"  {tier:<8} {org['api_key']}   ({org['org_id']})" for tier, org in found.orgs.items())
    key = found.orgs[DEMO_TIER.value]["api_key"]
    return (
        f"\nMessage Metrics is running at {found.api_url}\n\nA key per tier:\n{keys}\n\nTry it:\n\n"
        f'  curl -H "Authorization: Bearer {key}" "{found.api_url}/v1/metrics/messages?metric=sent"\n\n'
        f"The same as pictures: {found.api_url}/ (it asks for a key)\n"
        f"How the worker is doing: {found.admin_url}/\n\nCtrl-C stops everything.\n"
    )


async def _work(worker: Worker, stop: asyncio.Event) -> None:
    await worker.run(stop)
    if worker.ended_by:
        raise worker.ended_by


async def _serve(api: Server, stop: asyncio.Event) -> None:
    async def end() -> None:
        await stop.wait()
        api.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await api.serve()
    except SystemExit:  # uvicorn's way to say that it cannot listen
        at = f"{api.config.host}:{api.config.port}"
        raise Refused(f"it cannot listen at {at}; choose another port with --port") from None
    finally:
        ending.cancel()


def engines(engine: ChdbHttpServer, broker: MockKafka | None, stop: asyncio.Event) -> dict[str, Part]:
    """The parts that watch what lives in this process and that worker and API would wait for, for ever."""
    watched = {"the engine": watch(engine.check, stop)}
    return watched | ({"the broker": watch(broker.check, stop)} if broker else {})


async def _greet(content: DevFile, data: Path, is_ready: Callable[[], bool], stop: asyncio.Event) -> None:
    """Write dev.json and say what runs, once it does."""
    while not (stop.is_set() or is_ready()):  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(READY_POLL_SECONDS)
    if not stop.is_set():
        try:
            write_dev_file(data, content)
        except OSError as error:
            raise Refused(f"{data / DEV_FILE} cannot be written ({error.strerror})") from None
        _say(*_greeting(content).split("\n"))
    await stop.wait()
    _say("stopping …")


def _say(*lines: str) -> None:
    """Print where somebody reads: what runs goes on without."""
    with contextlib.suppress(ReaderGone):
        say(*lines)


async def _produce(content: DevFile, history: bool, stop: asyncio.Event) -> None:
    """Produce demo traffic in a thread."""
    traffic, quiet = Traffic([org["org_id"] for org in content.orgs.values()], time.time_ns()), threading.Event()
    arguments = (content.kafka_bootstrap, content.topics, traffic, wall_clock_ms, quiet, history)
    producing = asyncio.create_task(asyncio.to_thread(run_demo, *arguments))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([producing, stopping], return_when=asyncio.FIRST_COMPLETED)
    quiet.set()
    await producing
