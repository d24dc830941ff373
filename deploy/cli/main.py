"""The command ``msgmetrics``: says what went wrong in a sentence; deploy/errors.py has the exit codes."""

import sys
from pathlib import Path

import click

from deploy.cli import serve
from deploy.cli.context import Context, fail
from deploy.commands import accounts, backup, events, look, repair
from deploy.errors import CommandError

INTERRUPTED = 130
WRONG_USAGE = 2


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


for command in (
    *(serve.dev, serve.worker, serve.api, serve.migrate),
    *(accounts.orgs, accounts.keys),
    *(events.produce, events.replay, events.dead_letters),
    *(repair.rebuild, repair.reconcile, repair.erase, backup.backup),
    *(look.status, look.doctor, look.explain),
):
    cli.add_command(command)


def main() -> None:
    """Run a command; what it cannot do is one sentence on stderr and an exit code."""
    try:
        cli.main(standalone_mode=False)
    except CommandError as error:
        fail(error)
    except click.ClickException as error:
        error.show()
        sys.exit(WRONG_USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
