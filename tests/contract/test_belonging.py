"""Every answer belongs to its question, whatever became of the statements before it on the same connection."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from api.errors import Unavailable
from api.params import Metric
from api.reader import Reader, sql
from api.window import Window
from deploy.cli.accounts import create_key, set_tier
from schemas.api_key import key_hash
from schemas.connection import Connections, connect
from schemas.endpoint import Endpoint
from schemas.grain import Grain
from schemas.tiers import Tier
from tests.support.cluster import Shards
from tests.support.endpoint import NOW, store
from tests.support.system import ROOT
from tests.support.time_outs import ROUNDS, THREADS, ask_beside_time_outs

ALL_RIGHT = Counter({"timed out": THREADS * ROUNDS, "answered": THREADS * ROUNDS * 2})
SLOW = (
    "SELECT {nonce:UInt64}, groupArray(number), repeat('x', 300000), sleepEachRow(0.05) FROM numbers(1000) "
    "GROUP BY number SETTINGS max_block_size = 1, max_threads = 1, max_execution_time = 0.2"
)


def test_beside_statements_that_time_out_every_small_one_gets_its_own_answer(engine: str, shards: Shards) -> None:
    for server in (engine, shards.nodes[0].url):
        assert ask_beside_time_outs(f"{server}/default") == ALL_RIGHT


def test_it_does_also_from_the_engine_in_its_own_process(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.support.time_outs", f"chdb://{tmp_path}/data"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    told = (line.split(" ", 1) for line in done.stdout.splitlines())
    assert Counter({outcome: int(count) for count, outcome in told}) == ALL_RIGHT


@pytest.mark.parametrize("where", ["url", "cluster"])
def test_the_api_gets_its_own_answers_beside_statements_that_time_out(
    where: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Endpoint.of(request.getfixturevalue(where))
    client = connect(target)
    for org, sent in (("a", 5), ("b", 7)):
        set_tier(client, org, Tier.SCALE)
        store(client, org, "2026-05-05 08:00:00", sent, "0")
    hashed = key_hash(create_key(client, "b", ("metrics:read",), None, NOW))
    monkeypatch.setattr("api.reader.sql", lambda name: SLOW if name == "slow" else sql(name))
    reader, window = Reader(target), Window(Grain.HOUR, 1_777_968_000, 1_777_968_000 + 86_400)
    expected: dict[str, Any] = {"a": {1_777_968_000: 5}, "nobody": {}, "b": {1_777_968_000: 7}}
    for org in (*expected, *expected):
        with pytest.raises(Unavailable):
            reader._row("slow")
        assert reader.values(org, Metric.SENT, window, None) == expected[org]
        account = reader.account(hashed)
        assert account is not None
        assert account.org_id == "b"
        assert reader.account(key_hash("a stranger's")) is None


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT {nonce:UInt64} + 1, [('a', 1)]",
        "SELECT {nonce:UInt64}, [('a', 1)] WHERE 0",
        "SELECT {nonce:UInt64}, [('a', 1)] FROM numbers(2)",
        "SELECT [({nonce:UInt64}, 1)]",
    ],
    ids=["another's", "nothing", "more than one", "another shape"],
)
def test_an_answer_without_its_nonce_is_none_and_costs_the_connection(
    statement: str, engine: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Reader(f"{engine}/default")
    monkeypatch.setattr("api.reader.sql", lambda _: "SELECT {nonce:UInt64}, [(1, 2)]")
    assert reader._row("totals") == ([(1, 2)],)
    assert len(pools(reader._connections)) == 1
    monkeypatch.setattr("api.reader.sql", lambda _: statement)
    with pytest.raises(Unavailable):
        reader._row("totals")
    assert not pools(reader._connections)
    assert "ClickHouse did not answer totals" in caplog.text


def pools(connections: Connections) -> Any:
    """The driver's pools of HTTP connections of the one client that there is."""
    (client,) = connections._idle
    return client.http.pools  # type: ignore[attr-defined]


def test_a_refusal_keeps_the_connection_and_anything_else_keeps_the_client_alone(engine: str) -> None:
    connections = Connections(f"{engine}/default")
    with connections.client() as first:
        first.query("SELECT 1")
    before = set(pools(connections).keys())
    with pytest.raises(DatabaseError), connections.client() as refused:
        refused.query("SELECT nothing_of_this_name")
    assert set(pools(connections).keys()) == before
    with pytest.raises(KeyError), connections.client() as interrupted:
        raise KeyError(interrupted.query("SELECT 1").result_rows)
    assert not pools(connections)
    with connections.client() as last, connections.client() as second:
        assert last is interrupted is refused is first is not second
        assert last.query("SELECT 1").result_rows == second.query("SELECT 1").result_rows
