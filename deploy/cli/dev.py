"""``msgmetrics dev``: broker, ClickHouse, worker, API and demo traffic in one process, for trying things out."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
from clickhouse_connect.driver.client import Client

from api.server import api_server, serve_all
from deploy.cli.accounts import create_key, set_tier
from deploy.cli.context import Context, now, tell
from deploy.cli.demo import Traffic, run_demo
from deploy.cli.dev_file import DEV_FILE, DevFile, read_dev_file, write_dev_file
from deploy.cli.kafka import describe_topic
from deploy.engines.mock_kafka import MockKafka
from deploy.errors import CommandError, Refused, Unreachable
from deploy.logs import configure_logs
from deploy.migrations.apply import migrate
from deploy.sql import sql
from pipeline.worker.worker import Worker
from schemas.api_key import READ_SCOPE
from schemas.connection import connect_writer
from schemas.instant import wall_clock_ms
from schemas.settings import Settings
from schemas.tiers import Tier

DEMO_TIER = Tier.GROWTH
READY_POLL_SECONDS = 0.05


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="address the API listens on")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="its port; 0 picks one")
@click.option("--data", default=".data", show_default=True, type=click.Path(path_type=Path), help="directory to keep")
@click.option("--no-demo", is_flag=True, help="no demo traffic")
@click.pass_obj
def dev(context: Context, host: str, port: int, data: Path, no_demo: bool) -> None:
    """Run the whole system in one process, to try it out.

    Broker, ClickHouse, worker, API and demo traffic; the data stays in the directory.

    \b
    Example:
      msgmetrics dev --data .data --port 8080 --no-demo
    """
    code = 1
    try:
        settings = replace(context.settings, api_host=host, api_port=port)
        code = run_dev(settings, data, demo=not no_demo, own_broker=not context.names_a_broker)
    except CommandError as error:
        tell(error)
        code = error.exit_code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # the embedded engine's threads do not survive an orderly exit of the interpreter


def run_dev(settings: Settings, data: Path, *, demo: bool, own_broker: bool) -> int:
    """Run until Ctrl-C, on a broker of its own or the one of the settings. Raises Refused or Unreachable.

    Returns the exit code; the caller must end the process with it at once.
    """
    from deploy.engines.chdb_http import ChdbHttpServer  # the embedded engine is an extra

    _refuse_a_second(data)
    settings = replace(settings, api_port=settings.api_port or _free_port())
    _check_port(settings.api_host, settings.api_port)
    data.mkdir(parents=True, exist_ok=True)
    configure_logs("text", settings.log_level, data / "dev.log")
    directory = (data / "clickhouse").resolve()
    engine = ChdbHttpServer(directory).start()
    broker = MockKafka() if own_broker else None
    settings = replace(_with_topic(settings, broker), clickhouse_url=f"chdb://{directory}", admin_port=_free_port())
    client = connect_writer(settings.clickhouse_url)
    migrate(client, settings.facts_retention_days, settings.dead_letter_retention_days)
    content = _dev_file(settings, engine.url, _make_orgs(client, now()))
    is_new = not client.query(sql("cli/count_facts")).result_rows[0][0]
    try:
        return asyncio.run(_run(settings, content, data, demo=demo, history=is_new))
    finally:
        (data / DEV_FILE).unlink(missing_ok=True)
        del broker  # it lives as long as its object: until here


def _refuse_a_second(data: Path) -> None:
    with contextlib.suppress(Unreachable):
        running = read_dev_file(data)
        raise Refused(f"a `msgmetrics dev` runs in {data} already (pid {running.pid}); stop it or name another --data")


def _with_topic(settings: Settings, broker: MockKafka | None) -> Settings:
    """The settings with this broker, whose topic is made; without one the topic must be there. Raises Refused."""
    if broker is not None:
        broker.create_topic(settings.kafka_topic)
        cluster_id = f"dev-{os.getpid()}-{time.time_ns()}"  # its log is lost with it: another one is another cluster
        return replace(settings, kafka_bootstrap=broker.bootstrap, kafka_cluster_id=cluster_id)
    if not describe_topic(settings).partitions:
        raise Refused(f"the topic {settings.kafka_topic} does not exist; run `msgmetrics migrate`")
    return settings


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Refused(f"{host}:{port} cannot be used ({error.strerror}); choose another port with --port") from None


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
        topic=settings.kafka_topic,
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


async def _run(settings: Settings, content: DevFile, data: Path, *, demo: bool, history: bool) -> int:
    stop, quiet = asyncio.Event(), threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    worker = Worker(settings)
    working = asyncio.create_task(worker.run(stop))
    working.add_done_callback(lambda _: stop.set())
    api = api_server(settings)
    serving = asyncio.create_task(serve_all([api], stop))
    serving.add_done_callback(lambda _: stop.set())
    traffic = Traffic([org["org_id"] for org in content.orgs.values()], time.time_ns())
    arguments = (content.kafka_bootstrap, content.topic, traffic, wall_clock_ms, quiet, history)
    producing = threading.Thread(target=run_demo, args=arguments, daemon=True)
    if demo:
        producing.start()
    while not (stop.is_set() or (api.started and worker.admin.started)):  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(READY_POLL_SECONDS)
    if not stop.is_set():
        write_dev_file(data, content)
        click.echo(_greeting(content))
    await stop.wait()
    click.echo("stopping …")
    quiet.set()
    code = await working
    await serving
    if code:
        click.echo(f"the worker ended with an error; see {data / 'dev.log'}", err=True)
    return code
