"""Backup and restore of ClickHouse."""

import click

from deploy.cli.context import Context, connected

PLACE = click.option(
    "--place", default="File('{}')", show_default=True, help="where, in ClickHouse's words, with {} for the name"
)


@click.group()
def backup() -> None:
    """Backups of ClickHouse, taken while workers run; deploy/README.md says how often."""


@backup.command("create")
@click.argument("name")
@PLACE
@click.pass_obj
def backup_create(context: Context, name: str, place: str) -> None:
    """Back up all tables as NAME-progress and NAME-data, in the order that is right to restore from.

    \b
    Examples:
      msgmetrics backup create 2026-11-25
      msgmetrics backup create 2026-11-25 --place "S3(backups, '{}')"
    """
    from deploy.cli.backup import create

    connected(context, lambda client, settings: create(client, settings, name, place, click.echo))


@backup.command("restore")
@click.argument("name")
@PLACE
@click.option("--facts-only", is_flag=True, help="only the facts; the workers compute all else again")
@click.pass_obj
def backup_restore(context: Context, name: str, place: str, facts_only: bool) -> None:
    """Restore into an empty database; workers must be stopped.

    \b
    Examples:
      msgmetrics backup restore 2026-11-25
      msgmetrics backup restore 2026-11-25 --facts-only
    """
    from deploy.cli.backup import restore

    connected(
        context,
        lambda client, settings: restore(client, settings, name, place, click.echo, facts_only=facts_only),
    )
