"""The version before and this one side by side, on a schema that changes under them, fed by producers of two ages."""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest

import deploy.migrations.apply
from deploy.migrations.apply import Migration, migrate, read_migrations
from pipeline.errors import EXIT_REFUSED
from schemas.connection import connect
from tests.support.kafka_broker import free_port
from tests.support.ledger import CHARGE, Ledger, Produced
from tests.support.places import TOPIC
from tests.support.recount import FORMAT, check_everything, check_facts, check_tables
from tests.support.system import LATE_PAUSE, ROOT, Process, System, require_kafka, wait_until

IDENTITY, TOPICS, CHARGES = 7, 8, 9
"""The numbers of the migrations by which facts have a type, workers know of several topics, and charges are counted."""
pytestmark = pytest.mark.timeout(240)
QUICK: dict[str, Any] = {"lateness_seconds": "1", "kafka_session_timeout_seconds": "6", "kafka_heartbeat_seconds": "1"}
OF_THE_NEXT_VERSION = Migration(
    9999, "9999_of_the_next_version.sql", ("ALTER TABLE facts ADD COLUMN template_id LowCardinality(String)",), "x"
)


def git(*words: str) -> bytes | None:
    """What git answers; None where it cannot."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


@pytest.fixture
def version_before(tmp_path: Path) -> Path:
    """The code of the last release, or of before the newest migration where there is no release yet.

    This one's own where the one before cannot run beside it, since a migration between them needs a stop.
    """
    if git("rev-parse", "HEAD") is None:
        pytest.skip("the version before this one comes from git's history, and this is no checkout")
    added = before_migration(read_migrations()[-1].name)
    stops = next(m.name for m in reversed(read_migrations()) if m.needs_a_stop)
    named = (git("describe", "--tags", "--abbrev=0", "HEAD^"), added, git("rev-parse", "HEAD^"), b"HEAD")
    names = [name.decode().strip() for name in named if name]
    name = next(n for n in names if git("cat-file", "-e", f"{n}:schemas/clickhouse/{stops}") is not None)
    return extracted(name, tmp_path / "before")


@pytest.fixture
def version_without_charges(tmp_path: Path) -> Path:
    """The code of before the migration with which charges begin."""
    commit = before_migration(next(m.name for m in read_migrations() if m.number == CHARGES))
    if not commit:
        pytest.skip("the version without charges comes from git's history, which ends after it")
    return extracted(commit.decode().strip(), tmp_path / "without")


def before_migration(name: str) -> bytes:
    """The commit before a migration was added; empty where that is not in the history."""
    return git("log", "--diff-filter=A", "-1", "--format=%H^", "--", f"schemas/clickhouse/{name}") or b""


def extracted(commit: str, directory: Path) -> Path:
    """The code of a commit, in a directory."""
    archive = git("archive", commit)
    assert archive is not None
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")
    return directory


def aged(records: Iterator[Produced]) -> Iterator[Produced]:
    """Every other event comes from a newer producer, with fields that nobody here has heard of."""
    for number, record in enumerate(records):
        if number % 2 and record.reason is None and record.value is not None and record.value.startswith(b"{"):
            newer = b'{"schema_version": 2, "template_id": "t-1", "tags": {"a": [null, 1.5e3]}, ' + record.value[1:]
            yield Produced(record.key, newer)
        else:
            yield record


def test_a_rolling_deploy_loses_and_doubles_nothing(
    tmp_path: Path, version_before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_kafka()
    with System(tmp_path, 4, **QUICK) as system:
        ledger, started = Ledger(seed=41, orgs=10), datetime.now(UTC)

        def some(count: int) -> None:
            now = datetime.now(UTC)
            events = ledger.records((now - timedelta(seconds=n % 3000) for n in range(count)), now)
            system.produce(aged(events))

        some(2000)
        url = system.start_api()
        old = worker_of(version_before, system, "old")
        wait_until("the old version", lambda: system.query("SELECT count() FROM facts")[0][0] > 1000, 30)

        # The schema first: whoever runs goes on.
        before = len(system.query("SELECT number FROM schema_migrations FINAL"))
        monkeypatch.setattr(
            deploy.migrations.apply, "read_migrations", lambda: [*read_migrations(), OF_THE_NEXT_VERSION]
        )
        assert migrate(system.database, 35, 90) == [OF_THE_NEXT_VERSION.name]
        assert len(system.query("SELECT number FROM schema_migrations FINAL")) == before + 1
        some(2000)

        # Then one process after the other, old and new in one group for a while.
        new = system.start_worker("new")
        owners = "SELECT uniqExact(owner) FROM partition_status FINAL WHERE updated_at > now64(3) - toIntervalSecond(3)"
        wait_until("workers of two versions", lambda: system.query(owners)[0][0] == 2, 30)
        some(2000)
        assert old.end() == 0
        some(2000)
        check_everything(system, ledger, started)
        assert httpx2.get(url + "/v1/metrics/messages").status_code == 401, "a look-up in ClickHouse"
        assert new.end() == 0


def test_a_worker_waits_for_the_migration_and_ends_once_there_is_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With data of before, through the doors that people use."""
    require_kafka()
    with System(tmp_path, 2, lateness_seconds="1") as system:
        use_database_of_before(system, IDENTITY, monkeypatch)
        worker = system.start_worker("early")
        wait_until("a worker that waits", lambda: "run `msgmetrics migrate`" in worker.log.read_text(), 30)
        ledger, started = Ledger(seed=43, orgs=5), datetime.now(UTC)
        system.produce(ledger.records((started - timedelta(seconds=n % 600) for n in range(500)), started))
        assert system.query("SELECT count() FROM facts") == [(0,)]
        system.run("migrate")
        check_everything(system, ledger, started)
        claimed = "SELECT sum(next_offset) FROM partition_watermarks FINAL"
        ((durable,),) = system.query(claimed)

        system.database.command("INSERT INTO watermark (schema) VALUES (9999)")
        system.produce(ledger.records(iter([started] * 50), started))
        assert worker.wait(30) == EXIT_REFUSED
        assert "migrated for a newer version (migration 9999" in worker.log.read_text()
        assert system.query(claimed) == [(durable,)], "what it knows nothing about it does not claim"


def test_from_one_topic_to_several_comes_migrate_then_all_workers_then_the_list_then_producers(
    tmp_path: Path, version_before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_kafka()
    with System(tmp_path, 2, **QUICK) as system:
        use_database_of_before(system, TOPICS, monkeypatch)
        ledger = Ledger(seed=44, orgs=5)

        def replaced(old: Process, name: str, *topics: str) -> Process:
            new = system.start_worker(name, kafka_topic=",".join(topics))
            owned = "SELECT count() FROM partition_status FINAL WHERE owner LIKE {owner:String}"
            wait_until(f"{name} to read", lambda: system.query(owned, owner=f"%-{new.pid}")[0][0] > 0, 30)
            assert old.end() == 0
            return new

        produce_late(system, ledger, 1000)
        worker = worker_of(version_before, system, "old")
        system.run("migrate")
        wait_until("facts", lambda: system.query("SELECT count() FROM facts")[0][0] > 500, 30)
        worker = replaced(worker, "new", TOPIC)
        produce_late(system, ledger, 500)
        added = {"message-delivered": 1, "message-failed": 3}
        for topic, partitions in added.items():
            system.broker.create_topic(topic, partitions)
        worker = replaced(worker, "several", TOPIC, *added)
        system.partitions |= added
        produce_late(system, ledger, 1000)
        check_everything(system, ledger, datetime.now(UTC))
        assert set(system.query("SELECT DISTINCT topic::String FROM facts")) == {(topic,) for topic in (TOPIC, *added)}
        assert worker.end() == 0


def test_charges_begin_with_a_stop_and_what_was_sent_of_them_before_is_sent_back(
    tmp_path: Path, version_without_charges: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older worker that comes back ends: it would close buckets without them."""
    require_kafka()
    with System(tmp_path, 2, **QUICK) as system:
        use_database_of_before(system, CHARGES, monkeypatch)
        ledger = Ledger(seed=45, orgs=5)

        produce_late(system, ledger, 1000)
        old = worker_of(version_without_charges, system, "old")
        refused = "SELECT count() FROM dead_letters FINAL WHERE position(value, 'message.charged') > 0"
        charges = sum(kind == CHARGE for _, _, kind in ledger.events)
        wait_until("charges that are refused", lambda: system.query(refused)[0][0] >= charges, 60)
        wait_until("numbers without them", lambda: system.query("SELECT count() FROM rollup_minute")[0][0] > 0, 30)
        assert old.end() == 0
        system.run("migrate")
        assert worker_of(version_without_charges, system, "old again").wait(30) == EXIT_REFUSED
        new = system.start_worker("new")
        produce_late(system, ledger, 500)
        system.run("dead-letters", "redrive", "--reason", "invalid_field")
        system.wait_until_done(120)
        system.wait_for_as_of(int(datetime.now(UTC).timestamp() * 1000), 60)
        as_of = datetime.fromtimestamp(system.as_of_ms() / 1000, UTC).strftime(FORMAT)
        check_facts(system, ledger)
        check_tables(system, ledger, as_of)
        assert new.end() == 0


def produce_late(system: System, ledger: Ledger, count: int) -> None:
    """Produce events of the last fifty minutes."""
    now = datetime.now(UTC)
    system.produce(ledger.records((now - timedelta(seconds=n % 3000) for n in range(count)), now))


def use_database_of_before(system: System, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a system use a database that has the migrations below a number alone."""
    before = [m for m in read_migrations() if m.number < number]
    system.database.command("CREATE DATABASE older")
    url = system.environment["MSGMETRICS_CLICKHOUSE_URL"] = f"http://127.0.0.1:{system.clickhouse_port}/older"
    system.database = connect(url)
    with monkeypatch.context() as patch:
        patch.setattr(deploy.migrations.apply, "read_migrations", lambda: before)
        migrate(system.database, 35, 90)


def worker_of(tree: Path, system: System, name: str) -> Process:
    """A worker that runs the code of another tree."""
    known = {name: text for name, text in system.environment.items() if name != LATE_PAUSE}  # of this version alone
    environment = {**known, "MSGMETRICS_ADMIN_PORT": str(free_port()), "PYTHONPATH": str(tree)}
    found = subprocess.run(
        [sys.executable, "-c", "import pipeline; print(pipeline.__file__)"],
        env=environment, cwd=tree, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.startswith(str(tree)), "the other tree's code must be what runs"
    process = Process(name, ("-m", "deploy.cli", "worker"), environment, system.directory, cwd=tree)
    system.processes.append(process)
    return process
