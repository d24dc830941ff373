"""What a log can hold and what can happen to it: transactions, codecs, more partitions, records that are gone."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Producer

from tests.support.ledger import Ledger, Produced
from tests.support.recount import check_tables, uncounted
from tests.support.system import TOPIC, System, require_kafka, wait_until

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
LATENESS_SECONDS = 2


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
        system.partitions = 3
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
