"""Organizations, their tiers and their API keys."""

from datetime import UTC, datetime

import click
import msgspec

from deploy.cli.context import INSTANT, Context, connected, now
from deploy.errors import Usage
from schemas.api_key import READ_SCOPE
from schemas.tiers import Tier


@click.group()
def orgs() -> None:
    """Organizations and their plan tiers."""


@orgs.command("set")
@click.argument("org")
@click.option("--tier", required=True, type=click.Choice([t.value for t in Tier]), help="plan tier")
@click.pass_obj
def orgs_set(context: Context, org: str, tier: str) -> None:
    """Make the organization ORG, or change its tier; it takes effect within 5 seconds.

    \b
    Example:
      msgmetrics orgs set acme --tier growth
    """
    from deploy.cli.accounts import check_org, set_tier

    check_org(org)
    connected(context, lambda client, _: set_tier(client, org, Tier(tier)))
    click.echo(f"{org} has tier {tier}")


@click.group()
def keys() -> None:
    """API keys."""


@keys.command("create")
@click.argument("org")
@click.option("--scope", "scopes", multiple=True, help=f"may be repeated [{READ_SCOPE}]")
@click.option("--expires", type=INSTANT, help="RFC 3339 time after which the key stops working")
@click.pass_obj
def keys_create(context: Context, org: str, scopes: tuple[str, ...], expires: int | None) -> None:
    """Make a key for the organization ORG. It is shown this once.

    \b
    Examples:
      msgmetrics keys create acme
      msgmetrics keys create acme --expires 2099-01-01T00:00:00Z
    """
    from deploy.cli.accounts import check_org, check_scope, create_key

    check_org(org)
    wanted = tuple(check_scope(scope) for scope in scopes) or (READ_SCOPE,)
    until = _parse_expiry(expires)
    key = connected(context, lambda client, _: create_key(client, org, wanted, until, now()))
    click.echo(key)
    click.echo(f"This is the only time the key of {org} is shown; scopes: {', '.join(wanted)}", err=True)


def _parse_expiry(seconds: int | None) -> datetime | None:
    if seconds is None:
        return None
    until = datetime.fromtimestamp(seconds, UTC)
    if until <= now():
        raise Usage(f"--expires must lie in the future, not {until.isoformat()}")
    return until


@keys.command("list")
@click.option("--org", help="only this organization's")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_obj
def keys_list(context: Context, org: str | None, as_json: bool) -> None:
    """List keys, without the keys themselves.

    \b
    Example:
      msgmetrics keys list --org acme
    """
    from deploy.cli.accounts import list_keys

    found = connected(context, lambda client, _: list_keys(client, org))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    click.echo(f"{'id':<26}  {'prefix':<12}  {'organization':<24}  {'state':<28}  scopes")
    for key in found:
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}Z" if key.revoked_at else "valid"
        if not key.revoked_at and key.expires_at:
            state = f"{'expired' if key.expires_at <= now() else 'expires'} {key.expires_at:%Y-%m-%d %H:%M}Z"
        click.echo(f"{key.id:<26}  {key.prefix:<12}  {key.org_id:<24}  {state:<28}  {', '.join(key.scopes)}")


@keys.command("revoke")
@click.argument("name", metavar="ID|PREFIX")
@click.pass_obj
def keys_revoke(context: Context, name: str) -> None:
    """Revoke a key by its id or prefix; it stops working within 5 seconds.

    \b
    Example:
      msgmetrics keys revoke am_live_p63v
    """
    from deploy.cli.accounts import revoke_key

    key = connected(context, lambda client, _: revoke_key(client, name, now()))
    click.echo(f"revoked {key.id} of {key.org_id}")
