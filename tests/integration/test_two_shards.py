"""Two live ClickHouse servers as two shards, a broker, two workers and the API, each a process, against a recount."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2

from deploy.cli.accounts import create_key, set_tier
from schemas.api_key import READ_SCOPE
from schemas.sharding import LOCAL
from schemas.tiers import Tier
from tests.support.cluster import CLUSTER, two_shards
from tests.support.ledger import Ledger
from tests.support.recount import check_api, check_everything
from tests.support.system import Process, System, require_kafka, wait_until

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
DATABASE, HOURS, EVENTS = "metrics", 3, 3_000
SHARDED = ("facts", "rollup_minute", "rollup_hour")


def test_every_number_equals_the_recount_though_a_shard_was_killed_in_between(tmp_path: Path) -> None:
    require_kafka()
    with (
        two_shards(tmp_path) as shards,
        System(
            tmp_path / "system",
            4,
            clickhouse_url=f"{shards.url}/{DATABASE}",
            clickhouse_cluster=CLUSTER,
            lateness_seconds="1",
        ) as system,
    ):
        ledger, pick, now = Ledger(seed=31, orgs=20), random.Random(3), datetime.now(UTC)
        url, org = system.start_api(), "org-0"
        set_tier(system.database, org, Tier.SCALE)
        key = create_key(system.database, org, (READ_SCOPE,), None, now)

        def produce() -> None:
            seconds = [pick.randrange(60, HOURS * 3_600) for _ in range(EVENTS)]
            system.produce(ledger.records((now - timedelta(seconds=ago) for ago in seconds), now))

        produce()
        workers = [system.start_worker(f"worker-{n}") for n in range(2)]
        check_everything(system, ledger, now)

        shards.kill(1)
        produce()
        wait_until("a worker that tries again", lambda: any(_retries(worker) for worker in workers), 30)
        shards.start(1)
        check_everything(system, ledger, now)

        start, end = (now - timedelta(hours=HOURS + 1)).strftime(FORMAT), (now + timedelta(hours=1)).strftime(FORMAT)
        check_api(url, key, org, ledger, start, end)
        placed = "SELECT DISTINCT org_id FROM {table:Identifier} ORDER BY org_id"
        for table in SHARDED:
            here, there = (
                {
                    row[0]
                    for row in shards.on(n, DATABASE).query(placed, parameters={"table": table + LOCAL}).result_rows
                }
                for n in range(2)
            )
            assert min(len(here), len(there)) > 0, f"all of {table} is on one shard"
            assert not here & there, f"an organization has two halves in {table}"
        system.run("reconcile", "--from", (now - timedelta(hours=1)).strftime(FORMAT), "--to", end)
        assert [worker.end() for worker in workers] == [0, 0]


def _retries(worker: Process) -> float:
    """How often a worker has repeated a statement that was not taken."""
    lines = httpx2.get(f"{worker.admin_url}/metrics", timeout=5).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("msgmetrics_worker_sink_retries_total "))
