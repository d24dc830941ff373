"""What a log can hold and what can happen to it: transactions, codecs, more partitions, records that are gone."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Producer

from tests.support.ledger import Ledger, Produced
from tests.support.places import P0, TOPIC
from tests.support.recount import check_tables, uncounted
from tests.support.system import System, require_kafka, wait_until

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
LATENESS_SECONDS = 2
FAR = "2100-01-01T00:00:00Z"


def now() -> datetime:
    return datetime.now(UTC)


def milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def several(ledger: Ledger, count: int) -> list[Produced]:
    """Events of the last two hours."""
    at = now()
    return [ledger.produced(ledger.event(at - timedelta(seconds=ledger.random.randrange(7200)))) for _ in range(count)]


def transaction(producer: Producer, records: list[Produced], *, commit: bool) -> None:
    producer.begin_transaction()
    for record in records:
        producer.produce(TOPIC, record.value, key=record.key)
    producer.flush(30)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def check(system: System, ledger: Ledger) -> None:
    """Everything visible is in, as_of has passed the present, and the recount holds."""
    wait_until("all facts", lambda: system.query("SELECT count() FROM facts FINAL")[0][0] == len(ledger.events), 60)
    system.wait_for_as_of(milliseconds(now()), 60)
    wait_until("no pending recomputes", lambda: uncounted(system) == 0, 30)
    check_tables(system, ledger, datetime.fromtimestamp(system.as_of_ms() / 1000, UTC).strftime(FORMAT))


def test_transactions_codecs_and_a_partition_that_appears_later(tmp_path: Path) -> None:
    require_kafka()
    with System(tmp_path, partitions=2, lateness_seconds=str(LATENESS_SECONDS)) as system:
        worker = system.start_worker("worker")
        ledger = Ledger(seed=5, orgs=4)
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            system.produce(several(ledger, 50), **{"compression.type": codec})

        producer = system.producer(**{"transactional.id": "t1"})
        producer.init_transactions(30)
        transaction(producer, several(ledger, 100), commit=True)
        never = Ledger(seed=6)
        transaction(producer, several(never, 100), commit=False)  # the log ends with records nobody may see
        check(system, ledger)
        system.wait_until_done(20)  # behind them too: else they would look like a gap once retention has taken them

        system.broker.add_partitions(TOPIC, 3)
        system.partitions[TOPIC] = 3
        late = several(ledger, 60)
        plain = system.producer()
        wait_until(
            "the producer to see the partition", lambda: len(plain.list_topics(TOPIC).topics[TOPIC].partitions) == 3, 20
        )
        for record in late:
            plain.produce(TOPIC, record.value, key=record.key, partition=2)
        assert plain.flush(30) == 0
        check(system, ledger)
        marks = system.query("SELECT partition FROM partition_watermarks GROUP BY partition ORDER BY partition")
        assert marks == [(0,), (1,), (2,)]
        assert worker.end() == 0


def test_an_open_transaction_holds_as_of_and_its_events_are_never_late(tmp_path: Path) -> None:
    require_kafka()
    with System(tmp_path, partitions=1, lateness_seconds=str(LATENESS_SECONDS)) as system:
        system.start_worker("worker")
        system.wait_for_as_of(milliseconds(now()), 60)
        producer = system.producer(**{"transactional.id": "t2"})
        producer.init_transactions(30)
        ledger = Ledger(seed=7, orgs=2)
        producer.begin_transaction()
        opened = now()
        producer.produce(TOPIC, ledger.produced(ledger.event(opened)).value)
        producer.flush(10)
        system.produce(several(ledger, 1))  # behind the open transaction, so not visible either
        held = milliseconds(opened) + 1000 * (LATENESS_SECONDS + 4)
        wait_until("time to pass", lambda: milliseconds(now()) > held, 30)
        assert system.query("SELECT count() FROM facts") == [(0,)]
        assert system.as_of_ms() < milliseconds(opened), "as_of passed records that the open transaction hides"
        assert system.unfinished(), "nor may a recount begin"
        assert "2 hidden by an open transaction" in system.run("status", code=None)
        assert system.query("SELECT status FROM partition_status FINAL") == [("2 hidden by an open transaction",)]
        producer.commit_transaction(30)
        check(system, ledger)


def test_a_topic_made_anew_is_known_by_its_id_however_long_it_has_grown(tmp_path: Path) -> None:
    """Every record of the new one is a fact or a dead letter, and none is hidden by what is known of the old one."""
    require_kafka()
    with System(tmp_path, partitions=1, lateness_seconds=str(LATENESS_SECONDS)) as system:
        ledger, worker = Ledger(seed=6, orgs=3), system.start_worker("before")
        system.produce([Produced(None, b"old broken"), *several(ledger, 20)])
        check(system, ledger)
        assert system.run("dead-letters", "redrive").startswith("1 dead letters sent back")
        letters = "SELECT incarnation, offset, reason, value FROM dead_letters FINAL ORDER BY incarnation, offset"
        wait_until("what was sent back", lambda: len(system.query(letters)) == 2, 30)
        assert worker.end() == 0
        old_end = system.offsets()[P0][1]

        make_anew(system)
        ahead, behind = (event_at(ledger, now() + timedelta(**far)) for far in ({"hours": 1}, {"days": -50}))
        system.produce([Produced(None, b"new broken"), ahead, behind, *several(ledger, 60)])
        assert system.offsets()[P0][1] > old_end + 3
        worker = system.start_worker("after")
        check(system, ledger)
        assert system.query(letters) == [
            (0, 0, "malformed_json", "old broken"),
            (0, 21, "malformed_json", "old broken"),
            (1, 0, "malformed_json", "new broken"),
            (1, 1, "future_timestamp", (ahead.value or b"").decode()),
            (1, 2, "too_late", (behind.value or b"").decode()),
        ]
        assert "1 new dead letters" not in system.run(
            "replay", "--from", "2000-01-01T00:00:00Z", "--to", FAR, "--dry-run"
        )
        assert system.run("dead-letters", "redrive", "--reason", "malformed_json").startswith(
            "1 dead letters sent back"
        )
        assert worker.end() == 0


def event_at(ledger: Ledger, at: datetime) -> Produced:
    """A valid event that is not to be counted."""
    other = Ledger(seed=ledger.seed + 1, orgs=1)
    return other.produced(other.event(at))


def make_anew(system: System) -> None:
    """Delete the topic, and make another of its name."""
    admin = system.broker.admin()  # must outlive the futures
    for future in admin.delete_topics([TOPIC]).values():
        future.result(30)
    wait_until("the end of the topic", lambda: TOPIC not in admin.list_topics(timeout=5).topics, 30)
    system.broker.create_topic(TOPIC, 1)


def test_a_worker_leaves_in_order_within_ten_seconds(tmp_path: Path) -> None:
    require_kafka()
    with System(tmp_path, partitions=1, lateness_seconds=str(LATENESS_SECONDS)) as system:
        for round_, how in enumerate((signal.SIGTERM, signal.SIGINT)):
            worker = system.start_worker(how.name)
            system.produce(several(Ledger(seed=10 + round_), 2000))
            wait_until("the first", lambda: system.query("SELECT count() FROM facts")[0][0] > 2000 * round_, 30)  # noqa: B023
            assert worker.end(how, seconds=10) == 0
            assert system.query("SELECT count() FROM facts FINAL")[0][0] == 2000 * (round_ + 1)
            assert system.unfinished() == {}
