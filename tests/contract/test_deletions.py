"""A deletion is begun once, however often it is asked for, and has ended when it has on every server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.deletions import Deletions
from pipeline.clickhouse.store import Store
from pipeline.core.effects import EraseRows, InsertFacts
from pipeline.errors import SinkUnavailable
from schemas.endpoint import Endpoint
from tests.support.cluster import Shards
from tests.support.stores import DAY, NOW, facts

AT_MS = NOW * 1000


def impatient(target: str | Endpoint) -> Store:
    return Store(target, "cluster", "worker", timeout_seconds=2)


def patient(target: str | Endpoint) -> Store:
    return Store(target, "cluster", "worker", timeout_seconds=60)


@contextmanager
def slow(client: Client, table: str) -> Iterator[None]:
    """A server that begins deletions and does not go through with them for the length of the block."""
    client.command(f"SYSTEM STOP MERGES {table}")
    try:
        yield
    finally:
        client.command(f"SYSTEM START MERGES {table}")


def begun(client: Client) -> int:
    """Deletions that a server knows, done or not."""
    return int(
        client.query("SELECT count() FROM system.mutations WHERE database = currentDatabase()").result_rows[0][0]
    )


def test_one_that_takes_longer_than_its_statement_is_waited_for_and_not_begun_again(url: str, client: Client) -> None:
    store = impatient(url)
    store.perform(InsertFacts(facts(("a", "1", 1, 0, DAY), ("b", "2", 1, 0, DAY))))
    with slow(client, "facts"):
        for _ in range(3):
            with pytest.raises(SinkUnavailable, match=r"1 of 1 ClickHouse servers have not deleted from facts yet"):
                store.perform(EraseRows("a", AT_MS))
            assert begun(client) == 1
    patient(url).perform(EraseRows("a", AT_MS))  # may begin another if the first ends just when it has counted
    assert client.query("SELECT org_id FROM facts").result_rows == [("b",)]


def test_what_comes_back_after_it_has_ended_is_deleted_again(url: str, client: Client) -> None:
    store = patient(url)
    for number in (1, 2):
        store.perform(InsertFacts(facts(("a", "1", 1, 0, DAY))))
        assert store.perform(EraseRows("a", AT_MS)).rows == 1
        assert begun(client) == number
    assert client.query("SELECT count() FROM facts").result_rows == [(0,)]


@pytest.mark.parametrize("other", [{"org": "b", "at_ms": 7}, {"org": "a", "at_ms": 8}])
def test_another_one_is_not_taken_for_it(url: str, client: Client, other: dict[str, Any]) -> None:
    deletions = Deletions(impatient(url))
    impatient(url).perform(InsertFacts(facts(("c", "1", 1, 0, DAY))))
    with slow(client, "facts"):
        for place in ({"org": "a", "at_ms": 7}, other):
            with pytest.raises(SinkUnavailable):
                deletions.delete("erasure/delete_rows", "facts", **place)
        assert begun(client) == 2


def test_on_a_cluster_it_has_ended_when_it_has_on_every_server(cluster: Endpoint, shards: Shards) -> None:
    database = cluster.url.rsplit("/", 1)[1]
    servers = [shards.on(n, database) for n in range(2)]
    store = impatient(cluster)
    left = f"SELECT 1 FROM facts_local WHERE org_id = '0' AND record_at <= fromUnixTimestamp64Milli({AT_MS})"
    orgs = [(str(n), "1", 1, 0, DAY) for n in range(8)]  # of both shards
    store.perform(InsertFacts(facts(*orgs)))
    with slow(servers[1], "facts_local"):
        for _ in range(2):
            with pytest.raises(SinkUnavailable, match=r"\d of 2 ClickHouse servers"):
                Deletions(store).delete("erasure/delete_rows", "facts", org="0", at_ms=AT_MS)
            assert [begun(server) for server in servers] == [1, 1]
    Deletions(patient(cluster)).delete("erasure/delete_rows", "facts", org="0", at_ms=AT_MS)
    assert [len(server.query(left).result_rows) for server in servers] == [0, 0]


def test_while_a_server_is_away_an_erasure_waits_and_nothing_is_begun_twice(pair: Endpoint, shards: Shards) -> None:
    """The others have deleted by then. It could give back what is erased, so the erasure does not end without it."""
    store = impatient(pair)
    for _ in range(2):
        with pytest.raises(SinkUnavailable, match=r"\d of 2 ClickHouse servers .* bring back a server that is away"):
            Deletions(store).delete("erasure/delete_rows", "facts", org="0", at_ms=AT_MS)
    assert begun(shards.on(0, pair.url.rsplit("/", 1)[1])) == 1
