"""An organization is known by anything that is stored of it, and by nothing that merely looks like its name."""

from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client

from deploy.cli.accounts import create_key, list_keys, revoke_key, set_tier
from deploy.cli.known import Organization, check_known, check_new, organizations
from deploy.errors import Refused
from pipeline.core.effects import CloseBuckets, EraseRows, InsertDeadLetters, InsertFacts
from pipeline.core.records import DeadLetter
from schemas import tables
from schemas.grain import Grain
from schemas.message_event import DeadLetterReason
from schemas.tiers import Tier
from tests.support.places import P0
from tests.support.stores import DAY, NOW, facts, real

NOW_AT = datetime.fromtimestamp(NOW, UTC)
ODD = " %_*'\\\x1b\u202e\n"


def test_whatever_is_stored_makes_an_organization_known(url: str, client: Client) -> None:
    assert organizations(client) == []
    case = real(url)
    case.perform(InsertFacts(facts(("fact", "1", 1, 0, DAY), (ODD, "2", 1, 0, DAY))))
    letter = DeadLetter(P0, 1, DeadLetterReason.INVALID_FIELD, "why", NOW * 1000, None, b"x", (), "letter")
    nobodys = DeadLetter(P0, 2, DeadLetterReason.INVALID_FIELD, "why", NOW * 1000, None, b"x", (), "")
    case.perform(InsertDeadLetters((letter, nobodys)))
    set_tier(client, "tier", Tier.SCALE)
    create_key(client, "key", ("metrics:read",), None, NOW_AT)
    revoke_key(client, list_keys(client)[0].id)
    case.perform(EraseRows("erased", NOW * 1000))
    for grain in Grain:
        client.insert(tables.rollup_table(grain), [[f"a {grain}", DAY]], column_names=["org_id", "bucket"])
    found = {known.org_id: known for known in organizations(client)}
    assert set(found) == {"fact", ODD, "letter", "tier", "key", "erased", "a minute", "a hour", "a day"}
    assert found["tier"] == Organization("tier", "scale", 0, False)
    assert found["erased"] == Organization("erased", "payg", 0, True)
    for org, known in found.items():
        assert organizations(client, org) == [known]
        check_known(client, org)
        check_new(client, org)
    for stranger in ("", "%", "*", "fac", "FACT", "fact ", "_act", "'", "nobody"):
        assert stranger == "" or organizations(client, stranger) == []
    with pytest.raises(Refused, match="orgs list"):
        check_known(client, "fact ")
    with pytest.raises(Refused, match="spell it"):
        check_new(client, "fact ")
    check_new(client, "%")


def test_keys_that_are_not_revoked_are_counted(url: str, client: Client) -> None:
    keys = [create_key(client, "a", ("metrics:read",), None, NOW_AT) for _ in range(3)]
    revoke_key(client, keys[0])
    assert organizations(client) == [Organization("a", "payg", 2, False)]


def test_a_key_is_revoked_by_itself_its_id_or_its_prefix_and_by_nothing_near(url: str, client: Client) -> None:
    made = [create_key(client, "a", ("metrics:read",), None, NOW_AT) for _ in range(3)]
    for wrong in (made[0] + "x", made[0][:-1], made[0][:11], made[0][:13], "%", "*", "", " "):
        with pytest.raises(Refused, match="no key has the id or prefix") as refused:
            revoke_key(client, wrong)
        assert len(wrong) < 13 or wrong not in str(refused.value), "it may be a key"
    stored = {key.prefix: key.id for key in list_keys(client)}
    for name in (made[0], made[1][:12], stored[made[2][:12]]):
        revoke_key(client, name)
    assert all(key.revoked_at for key in list_keys(client))


def test_closing_what_is_not_there_makes_nobody_known(url: str, client: Client) -> None:
    real(url).perform(CloseBuckets(Grain.DAY, DAY, DAY + Grain.DAY.seconds, 0))
    assert organizations(client) == []
