"""The command ``msgmetrics``: says what went wrong in a sentence; deploy/errors.py has the exit codes."""

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.errors import CommandError, Usage
from schemas.api_key import READ_SCOPE
from schemas.settings import Settings, SettingsError, read_settings
from schemas.tiers import Tier

WATCH_SECONDS = 2


class Context:
    """What the commands share: settings are read when a command needs them, so that --help always works."""

    def __init__(self, dev: Path | None) -> None:
        self._dev = dev

    @property
    def settings(self) -> Settings:
        try:
            settings = read_settings(os.environ)
        except SettingsError as error:
            raise Usage(str(error)) from None
        if self._dev is None:
            return settings
        from deploy.embedded import dev_settings, read_dev_file

        return dev_settings(settings, read_dev_file(self._dev))


def _now() -> datetime:
    return datetime.now(UTC)


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


def _connected(context: Context, work: Callable[[Any, Settings], Any]) -> Any:
    """Run something with a ClickHouse client; its errors become sentences."""
    from deploy.clickhouse import clickhouse_problem, open_clickhouse

    settings = context.settings
    client = open_clickhouse(settings)
    try:
        return work(client, settings)
    except ClickHouseError as error:
        raise clickhouse_problem(settings, error) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--dev", type=click.Path(path_type=Path), metavar="DIR", help="talk to the `msgmetrics dev` that runs in DIR"
)
@click.version_option(package_name="message-metrics")
@click.pass_context
def cli(context: click.Context, dev: Path | None) -> None:
    """Message metrics: events from Kafka as exact rollups in ClickHouse, behind one endpoint.

    Settings come from the environment (MSGMETRICS_…); the README lists them.
    """
    context.obj = Context(dev)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="address the API listens on")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="its port; 0 picks one")
@click.option("--data", default=".data", show_default=True, type=click.Path(path_type=Path), help="directory to keep")
@click.option("--no-demo", is_flag=True, help="no demo traffic")
@click.pass_obj
def dev(context: Context, host: str, port: int, data: Path, no_demo: bool) -> None:
    """Run the whole system in one process, to try it out.

    Broker, ClickHouse, worker, API and demo traffic; the data stays in the directory.
    """
    from deploy.embedded import run_dev

    code = 1
    try:
        code = run_dev(context.settings, host, port, data, demo=not no_demo)
    except CommandError as error:
        click.echo(f"msgmetrics: {error}", err=True)
        code = error.exit_code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # the embedded engine's threads do not survive an orderly exit of the interpreter


@cli.command()
@click.option("--accept-gap", is_flag=True, help="record that records were lost before they were read, and go on")
@click.pass_obj
def worker(context: Context, accept_gap: bool) -> None:
    """Run a worker: events from Kafka into ClickHouse, until SIGTERM."""
    from deploy.logs import configure_logs
    from pipeline.worker import run_worker

    settings = context.settings
    configure_logs(settings.log_format, settings.log_level)
    sys.exit(run_worker(settings, accept_gap=accept_gap))


@cli.command()
@click.pass_obj
def api(context: Context) -> None:
    """Run the API, until SIGTERM."""
    from api.server import serve
    from deploy.logs import configure_logs

    settings = context.settings
    configure_logs(settings.log_format, settings.log_level)
    serve(settings)


@cli.command()
@click.option("--partitions", type=click.IntRange(1, 10_000), help="partitions of the topic, where it is made [8]")
@click.pass_obj
def migrate(context: Context, partitions: int | None) -> None:
    """Set up ClickHouse and Kafka; safe to repeat.

    Applies the migrations and the retention settings, and makes the topic where it is missing.
    """
    from deploy.clickhouse import clickhouse_problem, open_clickhouse
    from deploy.kafka_admin import ensure_topic
    from deploy.migrate import migrate as apply

    settings = context.settings
    client = open_clickhouse(settings, make_database=True)
    try:
        applied = apply(client, settings.facts_retention_days, settings.dead_letter_retention_days)
    except ClickHouseError as error:
        raise clickhouse_problem(settings, error) from None
    click.echo("\n".join(f"applied {name}" for name in applied) or "ClickHouse is up to date")
    click.echo(ensure_topic(settings, partitions))


@cli.group()
def orgs() -> None:
    """Organizations and their plan tiers."""


@orgs.command("set")
@click.argument("org")
@click.option("--tier", required=True, type=click.Choice([t.value for t in Tier]), help="plan tier")
@click.pass_obj
def orgs_set(context: Context, org: str, tier: str) -> None:
    """Make the organization ORG, or change its tier; it takes effect within 5 seconds."""
    from deploy.accounts import check_org, set_tier

    check_org(org)
    _connected(context, lambda client, _: set_tier(client, org, Tier(tier)))
    click.echo(f"{org} has tier {tier}")


@cli.group()
def keys() -> None:
    """API keys."""


@keys.command("create")
@click.argument("org")
@click.option("--scope", "scopes", multiple=True, help=f"may be repeated [{READ_SCOPE}]")
@click.option("--expires", metavar="T", help="RFC 3339 time after which the key stops working")
@click.pass_obj
def keys_create(context: Context, org: str, scopes: tuple[str, ...], expires: str | None) -> None:
    """Make a key for the organization ORG. It is shown this once."""
    from deploy.accounts import check_org, check_scope, create_key

    check_org(org)
    wanted = tuple(check_scope(scope) for scope in scopes) or (READ_SCOPE,)
    until = _parse_expiry(expires)
    key = _connected(context, lambda client, _: create_key(client, org, wanted, until, _now()))
    click.echo(key)
    click.echo(f"This is the only time the key of {org} is shown; scopes: {', '.join(wanted)}", err=True)


def _parse_expiry(text: str | None) -> datetime | None:
    from api.params import parse_instant

    if text is None:
        return None
    try:
        until = datetime.fromtimestamp(parse_instant(text).seconds, UTC)
    except ValueError as error:
        raise Usage(f"--expires {error}, not {text!r}") from None
    if until <= _now():
        raise Usage(f"--expires must lie in the future, not {text!r}")
    return until


@keys.command("list")
@click.option("--org", help="only this organization's")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_obj
def keys_list(context: Context, org: str | None, as_json: bool) -> None:
    """List keys, without the keys themselves."""
    from deploy.accounts import list_keys

    found = _connected(context, lambda client, _: list_keys(client, org))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    click.echo(f"{'id':<26}  {'prefix':<12}  {'organization':<24}  {'state':<28}  scopes")
    for key in found:
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}Z" if key.revoked_at else "valid"
        if not key.revoked_at and key.expires_at:
            state = f"{'expired' if key.expires_at <= _now() else 'expires'} {key.expires_at:%Y-%m-%d %H:%M}Z"
        click.echo(f"{key.id:<26}  {key.prefix:<12}  {key.org_id:<24}  {state:<28}  {', '.join(key.scopes)}")


@keys.command("revoke")
@click.argument("name", metavar="ID|PREFIX")
@click.pass_obj
def keys_revoke(context: Context, name: str) -> None:
    """Revoke a key by its id or prefix; it stops working within 5 seconds."""
    from deploy.accounts import revoke_key

    key = _connected(context, lambda client, _: revoke_key(client, name, _now()))
    click.echo(f"revoked {key.id} of {key.org_id}")


@cli.command()
@click.argument("file", metavar="FILE|-")
@click.option("--dry-run", is_flag=True, help="only check the lines")
@click.option("--no-key", is_flag=True, help="send without a key instead of keying by org_id")
@click.pass_obj
def produce(context: Context, file: str, dry_run: bool, no_key: bool) -> None:
    """Publish a file of events, one JSON object a line.

    Plain, .gz or .zst, or - for standard input. Nothing is sent unless every line is valid.
    """
    from deploy.produce import produce_file

    click.echo(produce_file(context.settings, file, dry_run=dry_run, keyed=not no_key))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.option("--watch", is_flag=True, help=f"again every {WATCH_SECONDS} s, until Ctrl-C")
@click.pass_obj
def status(context: Context, as_json: bool, watch: bool) -> None:
    """How far aggregation has come, by partition.

    Exit code 1 when it is not ready; the reasons say what to do.
    """
    from deploy.status import read_status, render

    while True:
        found = _connected(context, read_status)
        if watch and not as_json:
            click.clear()
        click.echo(msgspec.json.encode(found.as_json()) if as_json else render(found))
        if not watch:
            sys.exit(0 if found.ready else 1)
        time.sleep(WATCH_SECONDS)


@cli.command()
@click.pass_obj
def doctor(context: Context) -> None:
    """Check what a worker needs, and say what to do.

    Settings, Kafka, the topic, ClickHouse, clocks and migrations. Exit code 1 when something fails.
    """
    from deploy.doctor import Verdict, examine

    failed = False
    for finding in examine(context.settings, _clock_ms):
        failed |= finding.verdict is Verdict.FAIL
        click.echo(f"{finding.verdict.value:<5} {finding.text}")
    sys.exit(1 if failed else 0)


def main() -> None:
    """Run a command; what it cannot do is one sentence on stderr and an exit code."""
    try:
        cli.main(standalone_mode=False)
    except CommandError as error:
        click.echo(f"msgmetrics: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)


if __name__ == "__main__":
    main()
