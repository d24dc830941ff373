"""The program on a cluster's tables: the same numbers, by the same statements."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from api.app import create_app
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from deploy.errors import Refused
from deploy.migrations.apply import migrate, pending, read_migrations
from deploy.migrations.cluster_ddl import statements_for
from schemas import tables
from schemas.connection import connect, connect_writer
from schemas.endpoint import Endpoint
from schemas.grain import Grain
from schemas.sharding import BY_ORGANIZATION, SHARDED, alter_target, local_name
from schemas.tables import CLUSTER_SETTINGS
from schemas.tiers import Tier
from tests.support.cluster import CLUSTER
from tests.support.endpoint import AS_OF, DAY, NOW, PATH, store


def test_nothing_is_derived_without_a_cluster() -> None:
    for migration in read_migrations():
        for statement in migration.statements:
            assert statements_for(statement, "") == [statement]


@pytest.mark.parametrize(
    ("statement", "derived"),
    [
        (
            "ALTER TABLE facts ADD COLUMN x UInt8",
            [
                "ALTER TABLE facts_local ON CLUSTER c ADD COLUMN x UInt8",
                "ALTER TABLE facts ON CLUSTER c ADD COLUMN x UInt8",
            ],
        ),
        ("ALTER TABLE facts MODIFY TTL minute", ["ALTER TABLE facts_local ON CLUSTER c MODIFY TTL minute"]),
        ("ALTER TABLE orgs ADD COLUMN x UInt8", ["ALTER TABLE orgs ON CLUSTER c ADD COLUMN x UInt8"]),
    ],
)
def test_a_changed_column_is_changed_in_both_tables_and_storage_in_one(statement: str, derived: list[str]) -> None:
    assert statements_for(statement, "c") == derived


@pytest.mark.parametrize(
    "statement", ["TRUNCATE TABLE orgs", "CREATE VIEW v AS SELECT 1", "CREATE TABLE t (a Int8) ENGINE = Memory"]
)
def test_what_has_no_rule_is_refused_and_not_run_on_one_server_only(statement: str) -> None:
    with pytest.raises(Refused, match="no rule yet"):
        statements_for(statement, "c")


def test_everything_of_an_organization_is_on_one_shard(client: Client) -> None:
    """One expression over one value; and the type that a table keeps it in makes no difference to the hash."""
    together = {tables.FACTS, tables.RECOMPUTE_KEYS, *(tables.rollup_table(grain) for grain in Grain)}
    assert {SHARDED[table] for table in together} == {BY_ORGANIZATION}
    differing = "SELECT countIf(cityHash64(org_id) != cityHash64(toLowCardinality(org_id))) FROM "
    orgs = "(SELECT toString(number) AS org_id FROM numbers(1000))"
    assert client.query(differing + orgs).result_rows == [(0,)]


def test_a_cluster_is_migrated_once_and_its_retention_set_on_the_shards(cluster: Endpoint) -> None:
    client = connect(cluster)
    assert pending(client) == []
    assert migrate(client, 20, 90, CLUSTER) == []
    rows = client.query("SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()").result_rows
    engines: dict[str, str] = {name: engine for name, engine in rows}  # noqa: C416
    assert "toIntervalDay(20)" in engines["facts_local"]
    assert engines["facts"].startswith("Distributed(")
    assert {name for name, engine in engines.items() if engine.startswith("Distributed(")} >= set(SHARDED)


def test_every_statement_on_a_cluster_carries_what_makes_an_acknowledgement_firm(cluster: Endpoint) -> None:
    client, expected = connect(cluster, timeout_seconds=7.5), {**CLUSTER_SETTINGS, "insert_quorum_timeout": 7500}
    names = list(expected)
    rows = client.query(
        "SELECT name, value FROM system.settings WHERE name IN {names:Array(String)}", parameters={"names": names}
    ).result_rows
    assert {name: str(value) for name, value in rows} == {name: str(v) for name, v in expected.items()}
    plain = connect(cluster.url).query("SELECT value FROM system.settings WHERE name = 'insert_quorum'").result_rows
    assert plain == [("0",)]


@pytest.mark.parametrize("open_client", [connect, connect_writer])
def test_every_statement_asks_for_firm_reads_on_one_server_too(url: str, open_client: Callable[[str], Client]) -> None:
    asked = "SELECT value FROM system.settings WHERE name = 'select_sequential_consistency'"
    assert open_client(url).query(asked).result_rows == [("1",)]


def test_the_endpoint_answers_from_a_cluster(cluster: Endpoint) -> None:
    client = connect(cluster)
    store(client, "a", "2026-05-05 08:00:00", 5, "0.300000")
    store(client, "b", "2026-05-05 08:00:00", 1000, "1")
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF}')")
    set_tier(client, "a", Tier.SCALE)
    key = create_key(client, "a", ("metrics:read",), None, datetime.now(UTC))
    app = create_app(Reader(cluster), lambda: int(NOW.timestamp() * 1000), lambda: 0.0)
    with TestClient(app) as http:
        query = {"metric": "sent", "group_by": "channel", **DAY}
        answer = http.get(PATH, params=query, headers={"Authorization": f"Bearer {key}"}).json()
    first, second, third = (bucket["groups"] for bucket in answer["data"]["buckets"][:3])
    assert first == [{"key": "email", "value": 4}, {"key": "sms", "value": 1}]
    assert (second, third) == ([], None)


def test_rows_are_changed_where_they_are() -> None:
    assert local_name("facts", "") == "facts"
    assert (local_name("facts", "c"), local_name("orgs", "c")) == ("facts_local", "orgs")
    assert alter_target("facts", "c") == "facts_local ON CLUSTER c"
