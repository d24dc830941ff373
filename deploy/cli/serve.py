"""The two processes of a deployment: worker and API.

Each imports its package when it runs, so that neither holds the other's in memory.
"""

import sys

import click

from deploy.cli.context import Context
from deploy.cli.parts import stop_on_signals
from deploy.logs import configure_logs


@click.command()
@click.pass_obj
def worker(context: Context) -> None:
    """Run a worker: events from Kafka into ClickHouse, until SIGTERM.

    Run as many as the topic has partitions, each with an admin port of its own where they share a machine.

    \b
    Example:
      msgmetrics worker
    """
    from pipeline.worker.process import run_worker

    settings = context.settings
    configure_logs(settings.log_format, settings.log_level)
    sys.exit(run_worker(settings, stop_on_signals))


@click.command()
@click.pass_obj
def api(context: Context) -> None:
    """Run the API, until SIGTERM."""
    from api.server import serve

    settings = context.settings
    configure_logs(settings.log_format, settings.log_level)
    serve(settings, stop_on_signals)
