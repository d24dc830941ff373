"""Repair and proof: rebuild, reconcile, erase."""

import sys
import time

import click
import msgspec

from deploy.cli.context import (
    FROM,
    TO,
    Context,
    check_span,
    is_terminal,
    retention_floor_ms,
    with_store,
)

ORG = click.option("--org", default="", metavar="ORG", help="only this organization")


@click.command()
@FROM
@TO
@ORG
@click.pass_obj
def rebuild(context: Context, start: int, end: int, org: str) -> None:
    """Compute rollups anew from facts.

    Takes in whole UTC days, beside the live workers. Mends rows that are wrong, missing, or should not be; readers
    never see a hole.

    \b
    Example:
      msgmetrics rebuild --from 2026-05-05T00:00:00Z --to 2026-05-06T00:00:00Z
    """
    from deploy.cli.erase import rebuild_span

    span = check_span(start, end)
    click.echo(
        with_store(
            context,
            lambda store, settings: rebuild_span(store, span, org, retention_floor_ms(settings), is_terminal()),
        )
    )


@click.command()
@FROM
@TO
@ORG
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_obj
def reconcile(context: Context, start: int, end: int, org: str, as_json: bool) -> None:
    """Prove that rollups are right.

    Holds minutes against facts, hours against minutes, days against hours. Prints each number that differs, with both
    sides, and events whose id was used for more than one time. Looks twice where something differs, so that late
    events which are just being counted do not show. Exit code 1 when anything differs.

    \b
    Example:
      msgmetrics reconcile --from 2026-05-05T00:00:00Z --to 2026-05-06T00:00:00Z --org acme
    """
    from deploy.cli.erase import as_document, as_text
    from pipeline.repair.reconcile import Reconciler

    span = check_span(start, end)
    result = with_store(
        context,
        lambda store, settings: Reconciler(store, org, time.sleep).run(
            span.start, span.end, retention_floor_ms(settings)
        ),
    )
    click.echo(msgspec.json.encode(as_document(result)) if as_json else as_text(result))
    sys.exit(1 if result.differences else 0)


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
    from deploy.cli.erase import erase_organization, erasure_preview

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
