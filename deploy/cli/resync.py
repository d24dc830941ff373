"""``msgmetrics resync``: whoever keeps a copy of the numbers reads every one of them again."""

import click

from deploy.cli.arguments import ANY_ORG_ARGUMENT
from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, say
from pipeline.core.effects import WriteResync


@click.command()
@ANY_ORG_ARGUMENT
@click.pass_obj
def resync(context: Context, org: str) -> None:
    """Have clients that keep copies read every number again.

    Who asks with updated_since is given only what has changed since, as the time tells at which it was computed. After
    rows of rollups were deleted or changed by hand that time says nothing. The next question of each client is answered
    with every bucket; with ORG only those of this organization. rebuild, replay, erase and restore need no resync.

    \b
    Examples:
      msgmetrics resync
      msgmetrics resync acme
    """
    with_store(context, lambda store, _: store.perform(WriteResync(org)), org=org)
    whose = f"copies of {org}'s numbers" if org else "all copies"
    say(f"{whose} are to be read anew: the next question with updated_since lists every bucket")
