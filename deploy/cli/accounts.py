"""Organizations and their API keys."""

from dataclasses import dataclass
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client
from ulid import ULID

from deploy.errors import Refused, Usage
from schemas import tables
from schemas.api_key import SCOPE_PATTERN, key_hash, key_prefix, new_key
from schemas.message_event import MAX_ORG_CHARACTERS
from schemas.tiers import DEFAULT_TIER, Tier

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    """The rule of the event's org_id. Raises Usage."""
    if not 1 <= len(org_id) <= MAX_ORG_CHARACTERS:
        raise Usage(f"an organization's id has 1 to {MAX_ORG_CHARACTERS} characters; this one has {len(org_id)}")
    return org_id


def check_scope(scope: str) -> str:
    """The form of a scope. Raises Usage."""
    if SCOPE_PATTERN.fullmatch(scope) is None:
        raise Usage(f"a scope has the form noun:verb in [a-z_], like metrics:read; not {scope!r}")
    return scope


def set_tier(client: Client, org_id: str, tier: Tier) -> None:
    """Make an organization, or change its tier; takes effect within 5 s."""
    client.insert(tables.ORGS, [[check_org(org_id), tier.value]], column_names=["org_id", "tier"])


def create_key(client: Client, org_id: str, scopes: tuple[str, ...], expires_at: datetime | None, now: datetime) -> str:
    """Make a key and return it: this is the only time it is known. A missing organization is made."""
    for scope in scopes:
        check_scope(scope)
    known = client.query(
        "SELECT count() FROM orgs WHERE org_id = {org:String}", parameters={"org": check_org(org_id)}
    ).result_rows[0][0]
    if not known:
        set_tier(client, org_id, DEFAULT_TIER)
    key = new_key()
    columns = ["key_hash", "id", "prefix", "org_id", "scopes", "created_at", "expires_at", "revoked_at"]
    row = [key_hash(key), str(ULID()), key_prefix(key), org_id, list(scopes), now, expires_at or EPOCH, EPOCH]
    client.insert(tables.API_KEYS, [row], column_names=columns)
    return key


def list_keys(client: Client, org_id: str | None = None) -> list[Key]:
    """All keys, oldest first; those of one organization if named."""
    rows = client.query(
        """
        SELECT id, prefix, org_id, scopes, toUnixTimestamp64Milli(created_at),
               toUnixTimestamp64Milli(expires_at), toUnixTimestamp64Milli(revoked_at)
        FROM api_keys FINAL
        WHERE {org:String} = '' OR org_id = {org:String}
        ORDER BY created_at, id
        """,
        parameters={"org": org_id or ""},
    ).result_rows
    return [Key(i, p, o, tuple(s), _time(c) or EPOCH, _time(e), _time(r)) for i, p, o, s, c, e, r in rows]


def _time(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def revoke_key(client: Client, name: str, now: datetime) -> Key:
    """Revoke the key with this id or prefix. Raises Refused where none or several match, or it is revoked already."""
    matching = [key for key in list_keys(client) if key.id == name or key.prefix == name[: len(key.prefix)]]
    if not matching:
        raise Refused(f"no key has the id or prefix {name[:12]!r}; `msgmetrics keys list` shows them")
    if len(matching) > 1:
        candidates = ", ".join(f"{key.id} ({key.org_id})" for key in matching)
        raise Refused(f"the prefix {name[:12]!r} is ambiguous; give the id of one of: {candidates}")
    key = matching[0]
    if key.revoked_at:
        raise Refused(f"key {key.id} was revoked already at {key.revoked_at.isoformat()}")
    client.command(
        """
        INSERT INTO api_keys (key_hash, id, prefix, org_id, scopes, created_at, expires_at, revoked_at)
        SELECT key_hash, id, prefix, org_id, scopes, created_at, expires_at,
               fromUnixTimestamp64Milli({now:Int64}, 'UTC')
        FROM api_keys FINAL WHERE id = {id:String}
        """,
        parameters={"id": key.id, "now": int(now.timestamp() * 1000)},
    )
    return key
