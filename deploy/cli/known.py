"""The organizations of which anything is stored."""

from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from deploy.errors import Refused
from deploy.sql import sql
from schemas.tiers import DEFAULT_TIER


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization, its tier, how many keys it has that are not revoked, and whether it was erased once."""

    org_id: str
    tier: str
    keys: int
    was_erased: bool


def organizations(client: Client, org: str = "") -> list[Organization]:
    """Every organization with an event, a dead letter, a number, a key, a tier or an erasure; or the one named."""
    rows = client.query(sql("cli/organizations"), parameters={"org": org}).result_rows
    return [Organization(name, tier or DEFAULT_TIER, int(keys), bool(erased)) for name, tier, keys, erased in rows]


def check_known(client: Client, org: str) -> None:
    """Raise Refused where nothing is stored of the organization: its name is misspelled more likely than it is new."""
    if not organizations(client, org):
        raise Refused(
            f"nobody knows the organization {org!r}: no event, dead letter, number, key, tier or erasure names it. "
            "`msgmetrics orgs list` shows who is known; commands that take --org are about all of them without it"
        )


def check_new(client: Client, org: str) -> None:
    """Raise Refused for an id that looks like a mistake, unless something is stored of the organization."""
    if (org != org.strip() or not org.isprintable()) and not organizations(client, org):
        raise Refused(
            f"{org!r} has blanks around it or characters that cannot be seen, and nothing is stored of such an "
            "organization; spell it as its events do"
        )
