"""Replays beside live workers, interrupted and overlapping; ClickHouse emptied or set back; partitions added."""

import asyncio
import random
import re
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer

from deploy.cli.kafka import client_settings
from pipeline.repair.replay_reading import Wanted, find_bounds, open_consumer, read_batches
from schemas.settings import PREFIX, read_settings
from tests.support.ledger import Ledger
from tests.support.load import load
from tests.support.places import P1, TOPIC
from tests.support.recount import check_everything, uncounted
from tests.support.system import Process, System, require_kafka, wait_until

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
ALL = ("--from", "2026-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z")
EVENTS = 6_000


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    require_kafka()
    with System(tmp_path_factory.mktemp("replay"), partitions=4, lateness_seconds="2", flush_events="500") as system:
        yield system


@pytest.fixture(scope="module")
def worker(system: System) -> Process:
    return system.start_worker("worker")


@pytest.fixture(scope="module")
def ledger(system: System, worker: Process) -> Ledger:
    ledger, pick, now = Ledger(seed=41, orgs=8), random.Random(42), datetime.now(UTC)
    instants = (now - timedelta(seconds=pick.randrange(60, 86_400)) for _ in range(EVENTS))
    system.produce(ledger.records(instants, now))
    check_everything(system, ledger, now)
    return ledger


def group_offsets(system: System) -> dict[int, int]:
    return {p.number: offset for p, (offset, _) in system.offsets().items()}


def test_a_worker_waits_for_migrate_and_no_command_but_that_makes_a_topic(system: System) -> None:
    """On a broker that makes whatever a client asks for, as Kafka does by default."""
    fresh = {"kafka_topic": "missing", "clickhouse_url": f"http://127.0.0.1:{system.clickhouse_port}/fresh"}
    worker = system.start_worker("waiting", **fresh)
    calls = (("replay", *ALL), ("status",), ("doctor",))
    commands = [system.start(words[0], "-m", "deploy.cli", *words, kafka_topic="missing") for words in calls]
    assert all(command.wait(60) for command in commands), "a missing topic is no success"
    producer = Producer(client_settings(read_settings({f"{PREFIX}KAFKA_BOOTSTRAP": system.broker.bootstrap})))
    producer.produce("missing", b"{}")
    assert producer.flush(1) == 1, "it stays with the producer"
    wait_until("the worker to be waiting", lambda: "run `msgmetrics migrate`" in str(worker.readiness()), 30)
    assert "the topic missing does not exist" in str(worker.readiness())
    assert "missing" not in system.broker.admin().list_topics(timeout=5).topics
    system.broker.create_topic("missing", 2)
    wait_until("the database to be missed", lambda: "the database is not set up" in worker.log.read_text(), 30)
    assert system.start("migrate", "-m", "deploy.cli", "migrate", **fresh).wait(60) == 0
    wait_until("the worker to read", lambda: "reading {'missing/0': 0, 'missing/1': 0}" in worker.log.read_text(), 30)
    assert worker.end() == 0


def test_replaying_everything_beside_a_live_worker_changes_nothing(system: System, ledger: Ledger) -> None:
    with load(system, ledger, rate=300):
        for _ in range(3):
            said = system.run("replay", *ALL)
            assert int(re.match(r"replayed (\d+) records", said)[1]) >= EVENTS  # type: ignore[index]
    check_everything(system, ledger, datetime.now(UTC))


def test_a_dry_run_tells_what_a_replay_would_do_and_does_nothing(system: System, ledger: Ledger) -> None:
    ((gone,),) = system.query("SELECT uniqExact(org_id, event_id, type) FROM facts WHERE org_id = 'org-2'")
    system.query("ALTER TABLE facts DELETE WHERE org_id = 'org-2' SETTINGS mutations_sync = 2")
    before = system.query("SELECT count() FROM facts")
    numbers = list(map(int, re.findall(r"\d+", system.run("replay", *ALL, "--dry-run"))))
    records, new, duplicates, new_letters, known_letters, out_of_time, unknown, erased = numbers
    assert new == gone
    assert (new_letters, unknown, erased) == (0, 0, 0)
    judged = sum(n for (reason, _), n in ledger.dead.items() if reason in ("too_late", "future_timestamp"))
    assert (known_letters, out_of_time) == (sum(ledger.dead.values()) - judged, judged)
    assert records == new + duplicates + known_letters + out_of_time
    assert system.query("SELECT count() FROM facts") == before
    system.run("replay", *ALL)
    check_everything(system, ledger, datetime.now(UTC))


def test_only_the_named_span_and_partitions_are_read(system: System, ledger: Ledger) -> None:
    said = system.run("replay", *ALL, "--partition", "1", "--dry-run")
    in_one = system.offsets()[P1][1]
    assert said.startswith(f"would read {in_one} records")
    assert system.run("replay", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z").startswith(
        "replayed 0 records"
    )
    assert system.run("replay", *ALL, "--partition", f"{TOPIC}/1", "--dry-run").startswith(f"would read {in_one} ")
    system.run("replay", *ALL, "--partition", "99", code=4)
    system.run("replay", *ALL, "--resume", code=4)


def test_a_replay_reads_all_topics_of_the_list_or_what_is_named_of_them(
    system: System, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.broker.create_topic("second", 2)
    producer = system.producer()
    for number in range(12):
        producer.produce("second", b"{}", partition=number % 4 // 3)
    assert producer.flush(30) == 0

    def records(*words: str) -> int:
        return int(re.match(r"would read (\d+) records", system.run("replay", *ALL, "--dry-run", *words))[1])  # type: ignore[index]

    def refused(code: int, *words: str) -> str:
        return system.run("replay", *ALL, "--dry-run", *words, code=code, stderr=True)

    first = records()
    monkeypatch.setitem(system.environment, "MSGMETRICS_KAFKA_TOPIC", f"{TOPIC},second")
    assert (records(), records("--topic", "second"), records("--topic", TOPIC)) == (first + 12, 12, first)
    assert records("--partition", "second/1") == records("--topic", "second", "--partition", "1") == 3
    assert f"like {TOPIC}/3; not '1'" in refused(2, "--partition", "1")
    assert "there is no partition second/2; second has 2" in refused(4, "--partition", "second/2")
    monkeypatch.setitem(system.environment, "MSGMETRICS_KAFKA_TOPIC", f"{TOPIC},nowhere,second")
    assert "the topic nowhere does not exist" in refused(4)
    assert records("--topic", "second", "--topic", TOPIC) == first + 12
    assert "nowhere" not in system.broker.admin().list_topics(timeout=5).topics


def test_clocks_that_differ_hide_no_record_of_the_span_from_the_real_broker(system: System) -> None:
    """On a topic that keeps producers' times, which stand in the log in any order."""
    system.broker.create_topic("clocks", 1)
    pick, now_ms = random.Random(44), int(datetime.now(UTC).timestamp() * 1000)
    times = [now_ms - 3_600_000 + n * 100 + pick.choice((0, 0, 2_400_000)) for n in range(20_000)]
    producer = system.producer()
    for at in times:
        producer.produce("clocks", b"x", partition=0, timestamp=at)
    assert producer.flush(30) == 0
    settings = read_settings({f"{PREFIX}KAFKA_BOOTSTRAP": system.broker.bootstrap, f"{PREFIX}KAFKA_TOPIC": "clocks"})
    wanted = Wanted(times[0] + 600_000, times[0] + 1_200_000)

    async def offsets() -> list[int]:
        async with open_consumer(settings) as consumer:
            bounds = await find_bounds(consumer, {"clocks"}, wanted)
            return [r.offset async for batch in read_batches(consumer, wanted, bounds, {}) for r in batch.records]

    assert asyncio.run(offsets()) == [n for n, at in enumerate(times) if wanted.from_ms <= at < wanted.to_ms]


def test_a_killed_replay_goes_on_and_two_at_once_agree(system: System, ledger: Ledger) -> None:
    before, pick = group_offsets(system), random.Random(43)
    system.query("ALTER TABLE facts DELETE WHERE cityHash64(event_id) % 2 = 0 SETTINGS mutations_sync = 2")
    system.query("TRUNCATE TABLE rollup_minute")
    words = ("-m", "deploy.cli", "replay", *ALL, "--rate", "300")  # half a minute for all, and killed long before
    for round_ in range(3):
        aim = _facts(system) + pick.randrange(100, 300)
        replaying = system.start(f"replay-{round_}", *words, *(("--resume",) if round_ else ()))
        wait_until("some of it to be replayed", lambda: _facts(system) >= aim or not replaying.is_alive, 60)  # noqa: B023
        assert replaying.is_alive, replaying.log.read_text()
        replaying.end(signal.SIGKILL)
    assert system.run("replay", *ALL, "--resume").startswith("replayed")
    overlapping = [system.start(f"both-{n}", "-m", "deploy.cli", "replay", *ALL) for n in range(2)]
    assert [replay._popen.wait(120) for replay in overlapping] == [0, 0]
    system.run("rebuild", *ALL, code=4)
    since = (datetime.now(UTC) - timedelta(days=1, hours=1)).strftime(FORMAT)
    system.run("rebuild", "--from", since, "--to", "2100-01-01T00:00:00Z")
    check_everything(system, ledger, datetime.now(UTC))
    assert group_offsets(system) == before, "the live group's offsets are untouched"


def _facts(system: System) -> int:
    return int(system.query("SELECT count() FROM facts FINAL")[0][0])


def test_partitions_added_under_load_are_waited_for(system: System, ledger: Ledger) -> None:
    with load(system, ledger, rate=300):
        system.broker.add_partitions(TOPIC, 8)
        system.partitions[TOPIC] = 8
        producer, now = system.producer(), datetime.now(UTC)
        wait_until(
            "the producer to see them", lambda: len(producer.list_topics(TOPIC).topics[TOPIC].partitions) == 8, 20
        )
        for partition in range(4, 8):
            for _ in range(50):
                record = ledger.produced(ledger.event(now))
                producer.produce(TOPIC, record.value, key=record.key, partition=partition)
        assert producer.flush(20) == 0
        wait_until(
            "all of them to have a watermark",
            lambda: system.query("SELECT uniqExact(partition) FROM partition_watermarks WHERE watermark > 0") == [(8,)],
            60,
        )
    check_everything(system, ledger, datetime.now(UTC))


def test_clickhouse_set_back_or_emptied_is_filled_again_from_the_log(
    system: System, ledger: Ledger, worker: Process, tmp_path: Path
) -> None:
    """The group's offsets stand at the end all along: what ClickHouse knows decides where reading starts."""
    url = system.start_api()
    system.run("orgs", "set", "org-0", "--tier", "scale")
    backup, data = tmp_path / "backup", system.directory / "clickhouse"
    assert worker.end() == 0
    system.stop_clickhouse()
    shutil.copytree(data, backup, symlinks=True)
    system.start_clickhouse()
    again = system.start_worker("before-the-loss")
    now = datetime.now(UTC)
    system.produce(ledger.records(iter([now - timedelta(minutes=5)] * 500), now))
    check_everything(system, ledger, now)
    assert again.end() == 0

    system.stop_clickhouse()
    shutil.rmtree(data)
    shutil.copytree(backup, data, symlinks=True)
    system.start_clickhouse()
    older_ms = system.as_of_ms()
    assert older_ms < now.timestamp() * 1000
    after = system.start_worker("set-back")
    _wait_until_counted(system, ledger)
    check_everything(system, ledger, now)
    assert after.end() == 0

    system.stop_clickhouse()
    shutil.rmtree(data)
    system.start_clickhouse()
    system.run("migrate")
    system.run("orgs", "set", "org-0", "--tier", "scale")
    key = system.run("keys", "create", "org-0").strip()
    hour = (now - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    assert system.answer(url, key, "sent", hour) is None, "nothing is known, which is not zero"
    filled = system.start_worker("emptied")
    _wait_until_counted(system, ledger)
    check_everything(system, ledger, now)
    assert system.run("replay", *ALL).startswith("replayed"), "which finds nothing that is not there already"
    check_everything(system, ledger, now)
    wanted = ledger.expected("hour").get(("org-0", hour.strftime(FORMAT)), {"sent": 0})["sent"]
    assert system.answer(url, key, "sent", hour) == wanted
    assert filled.end() == 0


def _wait_until_counted(system: System, ledger: Ledger) -> None:
    """Offsets that were committed before the loss say nothing; the facts and what is computed from them do."""
    wait_until("all facts", lambda: system.query("SELECT count() FROM facts FINAL")[0][0] == len(ledger.events), 90)
    wait_until("all facts to be counted", lambda: uncounted(system) == 0, 30)
