"""A backup taken under load, restored into an empty ClickHouse under a group whose offsets stand at the end."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from deploy.cli.backup import create, restore
from deploy.errors import Refused
from deploy.migrations.apply import migrate
from schemas.settings import read_settings
from tests.support.clickhouse_node import USERS
from tests.support.ledger import Ledger
from tests.support.places import TOPIC
from tests.support.recount import FORMAT, check_everything, check_tables
from tests.support.system import System, require_kafka, wait_until

pytestmark = pytest.mark.timeout(240)
CONFIG = """<clickhouse>
  <logger><level>none</level></logger>
  <users_config>{directory}/users.xml</users_config>
  <backups><allowed_path>{directory}/backups/</allowed_path></backups>
</clickhouse>
"""


@contextmanager
def system_with_backups(directory: Path, partitions: int) -> Iterator[System]:
    """The production shape, with a ClickHouse that may write backups into a directory."""
    require_kafka()
    (directory / "users.xml").write_text(USERS)
    config = directory / "config.xml"
    config.write_text(CONFIG.format(directory=directory))
    with System(
        directory,
        partitions,
        clickhouse_config=config,
        lateness_seconds="1",
        kafka_session_timeout_seconds="6",
        kafka_heartbeat_seconds="1",
    ) as system:
        yield system


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with system_with_backups(tmp_path, 4) as system:
        yield system


def lose_clickhouse(system: System, data: str) -> None:
    """Everything ClickHouse had is gone; another one, empty, takes its place."""
    system.clickhouse.end(signal.SIGKILL)
    system.start_clickhouse(data)


def test_what_came_after_the_backup_is_read_again_and_every_number_is_right(system: System, tmp_path: Path) -> None:
    ledger, pick, begun = Ledger(seed=31, orgs=10), random.Random(1), datetime.now(UTC)
    where, settings = f"File('{tmp_path}/backups/{{}}')", read_settings(system.environment)

    def some(count: int) -> None:
        now = datetime.now(UTC)
        system.produce(ledger.records((now - timedelta(seconds=pick.randrange(7200)) for _ in range(count)), now))

    some(3000)
    worker, enough = system.start_worker("before"), threading.Event()
    wait_until("facts", lambda: system.query("SELECT count() FROM facts")[0][0] > 1000, 30)

    def keep_on() -> None:
        while not enough.wait(0.05):
            some(100)

    as_before = "VALUES ('gone', {topic:String}, 0, 1, 1000000000)"  # Kafka had this id until it was made anew
    system.database.command(
        f"INSERT INTO partition_watermarks (cluster_id, topic, partition, incarnation, next_offset) {as_before}",
        parameters={"topic": TOPIC},
    )
    load = threading.Thread(target=keep_on)
    load.start()
    try:
        said = system.run("backup", "create", "first", "--place", where)
        assert "is backed up as it stands: gone\n" in said
        assert "waiting for the workers" in said
    finally:
        enough.set()
        load.join()
    some(2000)
    check_everything(system, ledger, begun)
    assert worker.end() == 0

    lost = datetime.now(UTC)
    lose_clickhouse(system, "second")
    restore(system.database, settings, "first", where, print)
    assert resynced(system) > lost, "copies have numbers that are newer than the backup's"
    restored = system.query("SELECT count() FROM facts FINAL")[0][0]
    assert 0 < restored < len(ledger.events), "the backup must be older than the end"
    with pytest.raises(Refused, match="already"):
        restore(system.database, settings, "first", where, print)
    assert migrate(system.database, 35, 90) == []
    worker = system.start_worker("after")
    wait_until("all facts", lambda: system.query("SELECT count() FROM facts FINAL")[0][0] == len(ledger.events), 60)
    wait_until_recomputed(system)
    as_of = check_everything(system, ledger, datetime.now(UTC))

    with pytest.raises(Refused, match="and none of another"):
        create(system.database, replace(settings, kafka_cluster_id="another"), "none", where, print)

    # From the facts alone, when Kafka has forgotten every event.
    create(system.database, settings, "second", where, print)
    assert worker.end() == 0
    forget_log(system, 4)
    lost = datetime.now(UTC)
    lose_clickhouse(system, "third")
    restore(system.database, settings, "second", where, print, facts_only=True)
    migrate(system.database, 35, 90)
    assert resynced(system) > lost
    assert system.query("SELECT count() FROM rollup_minute") == [(0,)]
    worker = system.start_worker("facts-only")
    system.wait_for_as_of(int(datetime.strptime(as_of, FORMAT).replace(tzinfo=UTC).timestamp() * 1000), 60)
    check_tables(system, ledger, as_of)
    assert worker.end() == 0


def resynced(system: System) -> datetime:
    """Since when all copies are to be read anew."""
    (milliseconds,) = system.query("SELECT toUnixTimestamp64Milli(max(at)) FROM resyncs WHERE org_id = ''")[0]
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def wait_until_recomputed(system: System) -> None:
    """Until no late event waits for its buckets. Kafka's offsets say nothing here: they stood at the end all along."""
    since = datetime.now(UTC) + timedelta(seconds=1)
    states = "SELECT count(), sum(pending_recomputes) FROM worker_status FINAL WHERE updated_at > {since:DateTime64(3)}"
    wait_until("late recomputes", lambda: system.query(states, since=since) == [(1, 0)], 60)


def forget_log(system: System, partitions: int) -> None:
    """Kafka has forgotten every event."""
    ends = [TopicPartition(TOPIC, p, end) for p, (_, end) in _ends(system, partitions).items()]
    admin = system.broker.admin()  # must outlive the futures
    for future in admin.delete_records(ends).values():
        future.result(30)


def _ends(system: System, partitions: int) -> dict[int, tuple[int, int]]:
    consumer = Consumer({"bootstrap.servers": system.broker.bootstrap, "group.id": "ends", "log_level": 0})
    try:
        return {p: consumer.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=10) for p in range(partitions)}
    finally:
        consumer.close()
