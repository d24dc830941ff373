"""What runs: dev, worker, api; and migrate, which has to come before."""

import os
import sys
from pathlib import Path

import click
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.cli.context import Context
from deploy.errors import CommandError


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
    from deploy.cli.dev import run_dev

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


@click.command()
@click.option("--accept-gap", is_flag=True, help="record that records were lost before they were read, and go on")
@click.pass_obj
def worker(context: Context, accept_gap: bool) -> None:
    """Run a worker: events from Kafka into ClickHouse, until SIGTERM.

    Run as many as the topic has partitions, each with an admin port of its own where they share a machine.

    \b
    Examples:
      msgmetrics worker
      msgmetrics worker --accept-gap
    """
    from deploy.logs import configure_logs
    from pipeline.worker.worker import run_worker

    settings = context.settings
    configure_logs(settings.log_format, settings.log_level)
    sys.exit(run_worker(settings, accept_gap=accept_gap))


@click.command()
@click.pass_obj
def api(context: Context) -> None:
    """Run the API, until SIGTERM."""
    from api.server import serve
    from deploy.logs import configure_logs

    settings = context.settings
    configure_logs(settings.log_format, settings.log_level)
    serve(settings)


@click.command()
@click.option("--partitions", type=click.IntRange(1, 10_000), help="partitions of the topic, where it is made [8]")
@click.pass_obj
def migrate(context: Context, partitions: int | None) -> None:
    """Set up ClickHouse and Kafka; safe to repeat.

    Applies the migrations and the retention settings, and makes the topic where it is missing.

    \b
    Example:
      msgmetrics migrate --partitions 16
    """
    from deploy.cli.clickhouse import clickhouse_problem, open_clickhouse
    from deploy.cli.kafka import ensure_topic
    from deploy.migrations.apply import migrate as apply

    settings = context.settings
    client = open_clickhouse(settings, make_database=True)
    try:
        days = settings.facts_retention_days, settings.dead_letter_retention_days
        applied = apply(client, *days, settings.clickhouse_cluster)
    except ClickHouseError as error:
        raise clickhouse_problem(settings, error) from None
    click.echo("\n".join(f"applied {name}" for name in applied) or "ClickHouse is up to date")
    click.echo(ensure_topic(settings, partitions))
