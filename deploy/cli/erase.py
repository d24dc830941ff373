"""``msgmetrics erase``: everything of an organization, for good."""

from typing import Any

import click

from deploy.cli.accounts import list_keys, revoke_key
from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, retention_floor_ms, warn
from deploy.errors import Refused
from deploy.sql import sql
from pipeline.clickhouse.client import ClickHouse
from pipeline.clickhouse.store import Store
from pipeline.core.protocol import erase_steps
from pipeline.repair.lease import run_leased
from schemas.connection import connect_writer
from schemas.instant import rfc3339, utc
from schemas.settings import Settings


@click.command()
@click.argument("org")
@click.option("--dry-run", is_flag=True, help="only say what there is, what stays where, and how long")
@click.option("--yes", is_flag=True, help="do not ask")
@click.pass_obj
def erase(context: Context, org: str, dry_run: bool, yes: bool) -> None:
    """Erase an organization for good.

    What ORG has sent up to now: its facts, dead letters and rollups are deleted and its keys revoked; no replay and no
    redelivery brings them back. What it sends from now on is counted again.

    \b
    Example:
      msgmetrics erase acme --dry-run
    """
    click.echo(with_store(context, lambda store, settings: erasure_preview(store, settings, org)))
    if dry_run:
        return
    if not yes:
        click.confirm(f"Erase {org}? This cannot be undone", abort=True)
    click.echo(
        with_store(
            context,
            lambda store, settings: erase_organization(store, org, store.clock_ms(), retention_floor_ms(settings)),
        )
    )


def erasure_preview(store: Store, settings: Settings, org: str) -> str:
    """Sentences that say how much there is of an organization, what stays where, and how long."""
    facts, letters, minutes, hours, days, keys = map(int, _counts(store, org))
    return "\n".join(
        [
            f"{org} has {facts} facts, {letters} dead letters, {minutes + hours + days} rollup rows "
            f"({minutes} minutes, {hours} hours, {days} days) and {keys} valid keys. Erasing removes all of it.",
            f"What stays: its records in Kafka's topic {settings.kafka_topic} until the topic's own retention; dead "
            "letters so broken that nobody can be named for them, until "
            f"{settings.dead_letter_retention_days} days after they were seen; its id, in the list of erasures, by "
            "which its records are dropped wherever they turn up again; backups that were made before.",
        ]
    )


def _counts(store: ClickHouse, org: str) -> Any:
    return store.rows("counting", sql("cli/organization_counts"), org=org)[0]


def erase_organization(store: Store, org: str, at_ms: int, floor_ms: int) -> str:
    """Revoke the keys, delete, and look once more. Raises Refused where something is left."""
    client = connect_writer(store.endpoint)
    for key in list_keys(client, org):
        if key.revoked_at is None:
            revoke_key(client, key.id, utc(at_ms))
    run_leased(store, f"erase {org}", erase_steps(org, at_ms, floor_ms), lambda _: None, warn)
    facts, letters, minutes, hours, days, keys = map(int, _counts(store, org))
    if keys:
        raise Refused(f"{org} has a key again; revoke it and erase once more")
    return (
        f"erased {org} up to {rfc3339(at_ms)}; of what it has sent since, there are {facts} facts, {letters} dead "
        f"letters and {minutes + hours + days} rollup rows"
    )
