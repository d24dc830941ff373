"""``msgmetrics dev``: broker, ClickHouse, worker, API and demo traffic in one process, for trying things out."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from api.server import api_server, serve_all
from deploy.cli.accounts import create_key, set_tier
from deploy.cli.demo import Traffic, run_demo
from deploy.cli.kafka import describe_topic
from deploy.errors import Refused, Unreachable
from deploy.logs import configure_logs
from deploy.migrations.apply import migrate
from pipeline.worker.worker import Worker
from schemas.api_key import READ_SCOPE
from schemas.connection import connect
from schemas.instant import wall_clock_ms
from schemas.settings import PREFIX, Settings
from schemas.tables import FACTS, WRITE_SETTINGS
from schemas.tiers import Tier

DEV_FILE = "dev.json"
DEMO_TIER = Tier.GROWTH
READY_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class DevFile:
    """What ``DIR/dev.json`` tells other commands about a running ``dev``."""

    pid: int
    api_url: str
    admin_url: str
    clickhouse_url: str
    kafka_bootstrap: str
    kafka_cluster_id: str
    topic: str
    orgs: Mapping[str, Mapping[str, str]]


def read_dev_file(directory: Path) -> DevFile:
    """The running ``dev`` of a directory. Raises Unreachable where none runs there."""
    try:
        found = msgspec.json.decode((directory / DEV_FILE).read_bytes(), type=DevFile)
    except FileNotFoundError:
        raise Unreachable(f"no `msgmetrics dev` runs in {directory}; start one with --data {directory}") from None
    except msgspec.DecodeError as error:
        raise Unreachable(f"{directory / DEV_FILE} cannot be read ({error}); start `msgmetrics dev` again") from None
    if not _is_alive(found.pid):
        raise Unreachable(f"the `msgmetrics dev` of {directory} has ended; start it again")
    return found


def dev_settings(settings: Settings, found: DevFile) -> Settings:
    """The settings by which other commands reach a running ``dev``."""
    return dataclasses.replace(
        settings,
        kafka_bootstrap=found.kafka_bootstrap,
        kafka_topic=found.topic,
        kafka_cluster_id=found.kafka_cluster_id,
        clickhouse_url=found.clickhouse_url,
        clickhouse_cluster="",
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


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


def _write_dev_file(directory: Path, content: DevFile) -> None:
    """Readable by its owner only, and never half written."""
    target, draft = directory / DEV_FILE, directory / f".{DEV_FILE}.{os.getpid()}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    draft.rename(target)


def _make_orgs(client: Any, now: datetime) -> dict[str, dict[str, str]]:
    made = {}
    for tier in Tier:
        org = f"demo-{tier.value}"
        set_tier(client, org, tier)
        made[tier.value] = {"org_id": org, "api_key": create_key(client, org, (READ_SCOPE,), None, now)}
    return made


def _greeting(found: DevFile) -> str:
    keys = "\n".join(f"  {tier:<8} {org['api_key']}   ({org['org_id']})" for tier, org in found.orgs.items())
    key = found.orgs[DEMO_TIER.value]["api_key"]
    return (
        f"\nMessage Metrics is running at {found.api_url}\n\nA key per tier:\n{keys}\n\nTry it:\n\n"
        f'  curl -H "Authorization: Bearer {key}" "{found.api_url}/v1/metrics/messages?metric=sent"\n\n'
        f"The same as pictures: {found.api_url}/ (it asks for a key)\n"
        f"How the worker is doing: {found.admin_url}/\n\nCtrl-C stops everything.\n"
    )


def run_dev(settings: Settings, host: str, port: int, data: Path, *, demo: bool) -> int:
    """Run until Ctrl-C. Returns the exit code; the caller must end the process with it at once."""
    from deploy.engines.chdb_http import ChdbHttpServer  # the embedded engine is an extra
    from deploy.engines.mock_kafka import MockKafka

    with contextlib.suppress(Unreachable):
        running = read_dev_file(data)
        raise Refused(f"a `msgmetrics dev` runs in {data} already (pid {running.pid}); stop it or name another --data")
    port = port or _free_port()
    _check_port(host, port)
    data.mkdir(parents=True, exist_ok=True)
    configure_logs("text", settings.log_level, data / "dev.log")
    engine = ChdbHttpServer((data / "clickhouse").resolve()).start()
    broker = None
    if PREFIX + "KAFKA_BOOTSTRAP" not in os.environ:
        broker = MockKafka()
        broker.create_topic(settings.kafka_topic)
        settings = dataclasses.replace(
            settings, kafka_bootstrap=broker.bootstrap, kafka_cluster_id=f"dev-{os.getpid()}-{time.time_ns()}"
        )
    elif not describe_topic(settings).partitions:
        raise Refused(f"the topic {settings.kafka_topic} does not exist; run `msgmetrics migrate`")
    settings = dataclasses.replace(
        settings,
        clickhouse_url=f"chdb://{(data / 'clickhouse').resolve()}",
        api_host=host,
        api_port=port,
        admin_port=_free_port(),
    )
    client = connect(settings.clickhouse_url, settings=dict(WRITE_SETTINGS))
    migrate(client, settings.facts_retention_days, settings.dead_letter_retention_days)
    content = DevFile(
        pid=os.getpid(),
        api_url=f"http://{host}:{port}",
        admin_url=f"http://{settings.admin_host}:{settings.admin_port}",
        clickhouse_url=engine.url,
        kafka_bootstrap=settings.kafka_bootstrap,
        kafka_cluster_id=settings.kafka_cluster_id,
        topic=settings.kafka_topic,
        orgs=_make_orgs(client, datetime.now(UTC)),
    )
    is_new = not client.query(f"SELECT count() FROM {FACTS}").result_rows[0][0]
    try:
        return asyncio.run(_run(settings, content, data, demo=demo, history=is_new))
    finally:
        (data / DEV_FILE).unlink(missing_ok=True)
        del broker


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
        _write_dev_file(data, content)
        click.echo(_greeting(content))
    await stop.wait()
    click.echo("stopping …")
    quiet.set()
    code = await working
    await serving
    if code:
        click.echo(f"the worker ended with an error; see {data / 'dev.log'}", err=True)
    return code
