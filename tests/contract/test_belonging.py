"""Every answer belongs to its question, whatever became of the statements before it on the same connection."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.connection import Connections
from tests.support.cluster import Shards
from tests.support.system import ROOT
from tests.support.time_outs import ROUNDS, THREADS, ask_beside_time_outs

ALL_RIGHT = Counter({"timed out": THREADS * ROUNDS, "answered": THREADS * ROUNDS * 2})


def test_beside_statements_that_time_out_every_small_one_gets_its_own_answer(engine: str, shards: Shards) -> None:
    for server in (engine, shards.nodes[0].url):
        assert ask_beside_time_outs(f"{server}/default") == ALL_RIGHT


def test_it_does_also_from_the_engine_in_its_own_process(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.support.time_outs", f"chdb://{tmp_path}/data"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    told = (line.split(" ", 1) for line in done.stdout.splitlines())
    assert Counter({outcome: int(count) for count, outcome in told}) == ALL_RIGHT


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
