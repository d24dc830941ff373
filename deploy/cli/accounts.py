"""``msgmetrics orgs`` and ``keys``: organizations, their tiers and their API keys."""

from dataclasses import dataclass
from datetime import UTC, datetime

import click
from clickhouse_connect.driver.client import Client
from ulid import ULID

from deploy.cli.arguments import KEY, ORG, ORG_ARGUMENT
from deploy.cli.clickhouse import clickhouse_now, connected
from deploy.cli.context import INSTANT, Context, say
from deploy.cli.known import check_new, organizations
from deploy.errors import Refused, Usage
from deploy.sql import sql
from deploy.terminal import safe_json
from schemas import tables
from schemas.api_key import READ_SCOPE, SCOPE_PATTERN, key_hash, key_prefix, new_key
from schemas.instant import utc
from schemas.message_event import MAX_ORG_CHARACTERS
from schemas.settings import Settings
from schemas.tiers import DEFAULT_TIER, Tier

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHOWN_CHARACTERS = 12


@click.group()
def orgs() -> None:
    """Organizations and their plan tiers."""


@orgs.command("set")
@ORG_ARGUMENT
@click.option("--tier", required=True, type=click.Choice([t.value for t in Tier]), help="plan tier")
@click.pass_obj
def orgs_set(context: Context, org: str, tier: str) -> None:
    """Make the organization ORG, or change its tier; it takes effect within 5 seconds.

    \b
    Example:
      msgmetrics orgs set acme --tier growth
    """

    def make(client: Client, _: Settings) -> None:
        check_new(client, org)
        set_tier(client, org, Tier(tier))

    connected(context, make)
    say(f"{org} has tier {tier}")


@orgs.command("list")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_obj
def orgs_list(context: Context, as_json: bool) -> None:
    """List every organization of which anything is stored.

    \b
    Example:
      msgmetrics orgs list
    """
    found = connected(context, lambda client, _: organizations(client))
    if as_json:
        say(safe_json(found))
        return
    say(f"{'organization':<24}  {'tier':<8}  {'valid keys':>10}")
    for org in found:
        say(f"{org.org_id:<24}  {org.tier:<8}  {org.keys:>10}{'  was erased' if org.was_erased else ''}")


@click.group()
def keys() -> None:
    """API keys."""


@keys.command("create")
@ORG_ARGUMENT
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
    wanted = tuple(check_scope(scope) for scope in scopes) or (READ_SCOPE,)
    until = None if expires is None else datetime.fromtimestamp(expires, UTC)

    def make(client: Client, _: Settings) -> str:
        check_new(client, org)
        now = clickhouse_now(client)
        if until is not None and until <= now:
            raise Usage(f"--expires must lie in the future, not {until.isoformat()}")
        return create_key(client, org, wanted, until, now)

    key = connected(context, make)
    say(key)
    say(f"This is the only time the key of {org} is shown; scopes: {', '.join(wanted)}", err=True)


@keys.command("list")
@ORG
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_obj
def keys_list(context: Context, org: str, as_json: bool) -> None:
    """List keys, without the keys themselves.

    \b
    Example:
      msgmetrics keys list --org acme
    """
    found, now = connected(context, lambda client, _: (list_keys(client, org), clickhouse_now(client)), org=org)
    if as_json:
        say(safe_json(found))
        return
    say(f"{'id':<26}  {'prefix':<12}  {'organization':<24}  {'state':<28}  scopes")
    for key in found:
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}Z" if key.revoked_at else "valid"
        if not key.revoked_at and key.expires_at:
            state = f"{'expired' if key.expires_at <= now else 'expires'} {key.expires_at:%Y-%m-%d %H:%M}Z"
        say(f"{key.id:<26}  {key.prefix:<12}  {key.org_id:<24}  {state:<28}  {', '.join(key.scopes)}")


@keys.command("revoke")
@click.argument("name", type=KEY, metavar="ID|PREFIX")
@click.pass_obj
def keys_revoke(context: Context, name: str) -> None:
    """Revoke a key by its id or prefix; it stops working within 5 seconds.

    \b
    Example:
      msgmetrics keys revoke am_live_p63v
    """
    key = connected(context, lambda client, _: revoke_key(client, name))
    say(f"revoked {key.id} of {key.org_id}")


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key, without the key itself. Times are None where unset."""

    id: str
    prefix: str
    org_id: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def check_org(org_id: str) -> str:
    """The id, if it obeys the rule of the event's org_id. Raises Usage."""
    if not 1 <= len(org_id) <= MAX_ORG_CHARACTERS:
        raise Usage(f"an organization's id has 1 to {MAX_ORG_CHARACTERS} characters; this one has {len(org_id)}")
    return org_id


def check_scope(scope: str) -> str:
    """The scope, if it has the form of one. Raises Usage."""
    if SCOPE_PATTERN.fullmatch(scope) is None:
        raise Usage(f"a scope has the form noun:verb in [a-z_], like metrics:read; not {scope!r}")
    return scope


def set_tier(client: Client, org_id: str, tier: Tier) -> None:
    """Make an organization, or change its tier; takes effect within 5 s. Raises Usage."""
    client.insert(tables.ORGS, [[check_org(org_id), tier.value]], column_names=["org_id", "tier"])


def create_key(client: Client, org_id: str, scopes: tuple[str, ...], expires_at: datetime | None, now: datetime) -> str:
    """Make a key and return it: only its hash is stored. A missing organization is made. Raises Usage."""
    for scope in scopes:
        check_scope(scope)
    known = client.query(sql("cli/count_organizations"), parameters={"org": check_org(org_id)}).result_rows[0][0]
    if not known:
        set_tier(client, org_id, DEFAULT_TIER)
    key = new_key()
    columns = ["key_hash", "id", "prefix", "org_id", "scopes", "created_at", "expires_at", "revoked_at"]
    row = [key_hash(key), str(ULID()), key_prefix(key), org_id, list(scopes), now, expires_at or EPOCH, EPOCH]
    client.insert(tables.API_KEYS, [row], column_names=columns)
    return key


def list_keys(client: Client, org_id: str | None = None) -> list[Key]:
    """All keys, oldest first; those of one organization if named."""
    rows = client.query(sql("cli/keys"), parameters={"org": org_id or ""}).result_rows
    return [Key(i, p, o, tuple(s), _time(c) or EPOCH, _time(e), _time(r)) for i, p, o, s, c, e, r in rows]


def _time(instant_ms: int) -> datetime | None:
    return utc(instant_ms) if instant_ms else None


def _shown(name: str) -> str:
    """What may be printed of a key's name, since it may be the key itself."""
    return repr(name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}…")


def revoke_key(client: Client, name: str) -> Key:
    """Revoke the key with this id or prefix, or this key. Raises Refused where not one matches, or it is revoked."""
    whole = client.query(sql("cli/key_id"), parameters={"hash": key_hash(name)}).result_rows
    names = {name, *(row[0] for row in whole)}
    matching = [key for key in list_keys(client) if names & {key.id, key.prefix}]
    if not matching:
        raise Refused(f"no key has the id or prefix {_shown(name)}; `msgmetrics keys list` shows them")
    if len(matching) > 1:
        candidates = ", ".join(f"{key.id} ({key.org_id})" for key in matching)
        raise Refused(f"the prefix {_shown(name)} is ambiguous; give the id of one of: {candidates}")
    key = matching[0]
    if key.revoked_at:
        raise Refused(f"key {key.id} was revoked already at {key.revoked_at.isoformat()}")
    client.command(sql("cli/revoke_key"), parameters={"id": key.id})
    return key
