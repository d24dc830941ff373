"""The command ``msgmetrics``: its table of commands, and how it ends (deploy/errors.py has the exit codes)."""

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from deploy.cli.arguments import DIRECTORY
from deploy.cli.context import Context
from deploy.cli.endings import Bug, ended, interrupt_once
from deploy.logs import configure_logs_of_commands

COMMANDS = {
    "api": ("serve", "Run the API, until SIGTERM."),
    "backup": ("backup", "Backups of ClickHouse, taken while workers run; deploy/README.md says how often."),
    "check": ("check", "Say what each record of a file would become."),
    "compare": ("compare", "Hold a provider's numbers against ours."),
    "dead-letters": ("dead_letters", "Records that broke the contract."),
    "dev": ("dev", "Run the whole system in one process, to try it out."),
    "doctor": ("doctor", "Check what a worker needs, and say what to do."),
    "erase": ("erase", "Erase an organization for good."),
    "explain": ("explain", "Show what is behind a number."),
    "keys": ("accounts", "API keys."),
    "migrate": ("migrate", "Set up ClickHouse and Kafka; safe to repeat."),
    "orgs": ("accounts", "Organizations and their plan tiers."),
    "produce": ("produce", "Publish a file of events."),
    "rebuild": ("rebuild", "Compute rollups anew from facts."),
    "reconcile": ("reconcile", "Prove that rollups are right."),
    "replay": ("replay", "Read a span of all topics once more."),
    "resync": ("resync", "Have clients that keep copies read every number again."),
    "skip": ("skip", "Accept that records are lost, so that their partition goes on."),
    "statements": (
        "statements",
        "Months that were billed, as documents that can be proved; docs/money.md says how to bill by them.",
    ),
    "status": ("status", "How far aggregation has come, by partition."),
    "topics": ("topics", "Topics that are read, and whether as_of waits for them."),
    "worker": ("serve", "Run a worker: events from Kafka into ClickHouse, until SIGTERM."),
}
"""Command -> its module in deploy/cli, where it is a function of the same name, and the first line of its help."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called.

    The list of commands is printed from the table, since to import them all takes a second.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"deploy.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises Bug for errors that click would take for an end without a word."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, EOFError) as error:  # of a server or a file: `say` tells when nobody reads stdout
            raise Bug from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = [click.Command(name, help=line) for name, (_, line) in COMMANDS.items()]
        click.Group(commands=listed).format_commands(ctx, formatter)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--dev", type=DIRECTORY, help="talk to the `msgmetrics dev` that runs in DIR")
@click.version_option(package_name="message-metrics")
@click.pass_context
def cli(context: click.Context, dev: Path | None) -> None:
    """Message metrics: events from Kafka as exact rollups in ClickHouse, behind one endpoint.

    Settings come from the environment (MSGMETRICS_…); the README lists them.
    """
    context.obj = Context(dev)


def main() -> None:
    """Run a command; any end but a good one leaves a sentence on stderr, and an exit code."""
    signal.signal(signal.SIGINT, interrupt_once)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # it is None where it was closed
            stream.reconfigure(errors="backslashreplace")  # with a narrow encoding our own "…" would raise
    configure_logs_of_commands()
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run the command of these words, and return its exit code."""
    try:
        return cli.main(words, "msgmetrics", standalone_mode=False) or 0
    except BaseException as error:
        return ended(error)
