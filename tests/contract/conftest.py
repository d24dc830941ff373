"""The embedded engine behind HTTP, in a process of its own, with a fresh database per test; and the API on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from api.app import create_app
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from deploy.migrations.apply import migrate
from deploy.migrations.cluster_ddl import spanning_table, views
from schemas.connection import connect
from schemas.endpoint import Endpoint
from schemas.sharding import SHARDED
from schemas.tiers import Tier
from tests.support.cluster import CLUSTER, PAIR, Shards, migrate_cluster, two_shards
from tests.support.databases import Databases, new_name
from tests.support.endpoint import AS_OF, NOW, PATH, Ask, CheckedClient, Clock, store
from tests.support.engine import clickhouse_process
from tests.support.stores import Case, fake, real


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty ClickHouse server, without a database name."""
    with clickhouse_process(Path(tmp_path_factory.mktemp("clickhouse"))) as url:
        yield url


@pytest.fixture(scope="session")
def databases(engine: str) -> Databases:
    return Databases(engine, lambda url: migrate(connect(url), 35, 90))


@pytest.fixture
def empty_url(databases: Databases) -> Iterator[str]:
    """The URL of a fresh database."""
    with databases.empty() as url:
        yield url


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """The URL of a fresh database with all migrations."""
    with databases.migrated() as url:
        yield url


@pytest.fixture(scope="module")
def module_url(databases: Databases) -> Iterator[str]:
    """The URL of a database with all migrations that the tests of a module share, since they only read."""
    with databases.migrated() as url:
        yield url


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    """Two live servers that are a cluster of two shards."""
    with two_shards(Path(tmp_path_factory.mktemp("shards"))) as shards:
        yield shards


@pytest.fixture(scope="session")
def cluster_databases(shards: Shards) -> Databases:
    return Databases(shards.url, migrate_cluster, [node.url for node in shards.nodes])


@pytest.fixture
def empty_cluster_url(cluster_databases: Databases) -> Iterator[str]:
    """The URL of a fresh database on both of our shards."""
    with cluster_databases.empty() as url:
        yield url


@contextmanager
def new_cluster(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """A fresh database with all migrations as a cluster has them, on the cluster that the variable names or on ours."""
    if named := os.environ.get("MSGMETRICS_TEST_CLUSTER_URL"):
        name = new_name()
        connect(f"{named}/default").command(f"CREATE DATABASE {name} ON CLUSTER {CLUSTER}")
        migrate_cluster(f"{named}/{name}")
        yield Endpoint(f"{named}/{name}", cluster=CLUSTER)
        return
    with request.getfixturevalue("cluster_databases").migrated() as url:
        yield Endpoint(url, cluster=CLUSTER)


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """A fresh database of a cluster with all migrations."""
    with new_cluster(request) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def module_cluster(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """The same for all tests of a module."""
    with new_cluster(request) as endpoint:
        yield endpoint


@pytest.fixture
def pair(cluster_databases: Databases) -> Iterator[Endpoint]:
    """A fresh database on the first of two shards of which the second is down since its tables were made."""
    with cluster_databases.migrated() as url:
        endpoint = Endpoint(url, cluster=PAIR)
        for name, key in SHARDED.items():
            connect(endpoint).command(spanning_table("CREATE OR REPLACE TABLE ", name, key, PAIR))
        for view in views(PAIR):
            connect(endpoint).command(view)
        yield endpoint


@pytest.fixture(params=["fake", "clickhouse", "cluster"])
def case(request: pytest.FixtureRequest) -> Case:
    """A store that the contract is held against."""
    match request.param:
        case "clickhouse":
            return real(request.getfixturevalue("url"))
        case "cluster":
            return real(request.getfixturevalue("cluster"))
    return fake()


@pytest.fixture
def client(url: str) -> Client:
    return connect(url)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def http(url: str, clock: Clock) -> Iterator[TestClient]:
    """The API on the database, at NOW."""
    app = create_app(Reader(url), lambda: int(NOW.timestamp() * 1000), clock)
    with CheckedClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def ask(http: TestClient, client: Client) -> Ask:
    """Ask as an organization of a tier; answers (status, body)."""
    keys: dict[str, str] = {}

    def ask(org: str = "a", tier: Tier = Tier.SCALE, **query: Any) -> tuple[int, Any]:
        if org not in keys:
            set_tier(client, org, tier)
            keys[org] = create_key(client, org, ("metrics:read",), None, NOW)
        response = http.get(PATH, params=query, headers={"Authorization": f"Bearer {keys[org]}"})
        return response.status_code, response.json()

    return ask


@pytest.fixture
def key(client: Client) -> str:
    """A key of organization a, which has every granularity."""
    set_tier(client, "a", Tier.SCALE)
    return create_key(client, "a", ("metrics:read",), None, NOW)


@pytest.fixture
def stored(client: Client) -> None:
    """Hours of two organizations, one of them beyond as_of."""
    store(client, "a", "2026-05-05 08:00:00", 5, "0.300000")
    store(client, "a", "2026-05-05 10:00:00", 9, "7")
    store(client, "b", "2026-05-05 08:00:00", 1000, "99999999999.000001")
    store(client, "b", "2026-05-05 09:00:00", 2000, "5")
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF}')")
