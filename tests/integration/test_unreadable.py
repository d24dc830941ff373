"""What cannot be read, on a real broker: odd headers, a damaged segment, no leader, records that are gone.

Each holds its own partition and nothing else, says why, and is over when it is healed, or its loss accepted.
"""

import json
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from confluent_kafka import TopicPartition

from tests.faults.load import ODD_HEADERS
from tests.support.kafka_broker import KafkaBroker
from tests.support.ledger import Ledger
from tests.support.raw_produce import produce_raw
from tests.support.record_batch import BatchSpec, Part
from tests.support.recount import check_everything
from tests.support.system import ROOT, TOPIC, Process, System, require_kafka, wait_until

LATENESS_SECONDS = 2
DAMAGED, HEALTHY = 1, 0


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    require_kafka()
    broker = KafkaBroker(tmp_path / "kafka", ROOT / ".cache", {"log.dirs": "{data}/log,{data}/second"}).start()
    with System(tmp_path, partitions=2, broker=broker, lateness_seconds=str(LATENESS_SECONDS)) as running:
        yield running


def now() -> datetime:
    return datetime.now(UTC)


def send(system: System, ledger: Ledger, partition: int, count: int, codec: str = "none") -> None:
    """Valid events in one batch; every other one under headers whose names are no UTF-8."""
    events = [ledger.produced(ledger.event(now())) for _ in range(count)]
    parts = [Part(event.value, headers=ODD_HEADERS if n % 2 else ()) for n, event in enumerate(events)]
    time = int(now().timestamp() * 1000)
    batch = BatchSpec(parts, codec=codec, first_timestamp=time, max_timestamp=time).build()
    at = system.broker.bootstrap, TOPIC, partition
    wait_until("the broker to take it", lambda: produce_raw(*at, batch) == 0, 30)  # not just after its start


def send_in_a_transaction(system: System, ledger: Ledger, partition: int, count: int) -> None:
    producer = system.producer(**{"transactional.id": "t"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for _ in range(count):
        producer.produce(TOPIC, ledger.produced(ledger.event(now())).value, partition=partition)
    producer.commit_transaction(30)


def finished(system: System, partition: int, end: int) -> bool:
    """Whether a partition is durable up to its end; asked in ClickHouse, since a broker may not tell of another."""
    return durable(system, partition) >= end


def reason(worker: Process, *words: str) -> bool:
    return any(all(word in reason for word in words) for reason in worker.readiness()[1])


def durable(system: System, partition: int) -> int:
    ((offset,),) = system.query(
        "SELECT max(next_offset) FROM partition_watermarks WHERE partition = {p:UInt32}", p=partition
    )
    return int(offset)


def segment(system: System, partition: int) -> Path:
    """The file with the records of a partition."""
    (found,) = Path(system.broker.data).glob(f"*/{TOPIC}-{partition}/*.log")
    return found


def damage_last_batch(path: Path) -> tuple[int, int]:
    """Flip a bit in the last batch of a segment; returns its first and last offset."""
    content = bytearray(path.read_bytes())
    start = end = 0
    while end < len(content):
        start = end
        end += 12 + struct.unpack_from(">i", content, start + 8)[0]
    base, last = struct.unpack_from(">q", content, start)[0], struct.unpack_from(">i", content, start + 23)[0]
    content[end - 1] ^= 1
    path.write_bytes(content)
    return base, base + last


def test_a_damaged_batch_holds_its_partition_alone_until_its_loss_is_accepted(system: System) -> None:
    ledger, began = Ledger(seed=31, orgs=3), now()
    worker = system.start_worker("first")
    for codec in ("none", "lz4", "zstd", "gzip", "snappy"):
        send(system, ledger, DAMAGED, 20, codec)
    send_in_a_transaction(system, ledger, HEALTHY, 20)
    check_everything(system, ledger, began)
    _check_odd_headers_survive_a_redrive(system, ledger)
    assert worker.end() == 0

    send(system, Ledger(seed=32, orgs=3), DAMAGED, 30)  # counted nowhere: it is about to be lost
    system.broker.stop()
    first, last = damage_last_batch(segment(system, DAMAGED))
    system.broker.start()
    worker = system.start_worker("second")
    send(system, ledger, DAMAGED, 10)
    send(system, ledger, HEALTHY, 10)
    name = f"{TOPIC}/{DAMAGED}/{first}"
    wait_until("the reason", lambda: reason(worker, f"waits at offset {first}", "checksum", f"skip {name}-{last}"), 30)
    wait_until("the other partition", lambda: not system.unfinished().keys() - {DAMAGED}, 30)
    assert durable(system, DAMAGED) == first
    metrics = httpx2.get(f"{worker.admin_url}/metrics").text
    assert re.search(r'msgmetrics_worker_partition_waiting\{partition="1"\} 1\.0', metrics)
    assert re.search(r'msgmetrics_worker_partition_waiting\{partition="0"\} 0\.0', metrics)
    status = json.loads(system.run("status", "--json", code=None))
    assert {p["partition"]: p["status"] for p in status["partitions"]}[DAMAGED] == "waiting"
    assert any("checksum" in sentence for sentence in status["reasons"])
    replay = ("replay", "--from", began.isoformat(), "--to", now().isoformat())
    refused = system.run(*replay, code=4, stderr=True)
    assert f"skip {name}-{last}" in refused

    _check_what_skip_refuses(system, first, last)
    said = system.run("skip", name, "--yes")
    assert (
        f"partition {DAMAGED} of {TOPIC}: offsets {first} to {last} (30) cannot be read: its checksum is wrong" in said
    )
    check_everything(system, ledger, began)
    wait_until("readiness", lambda: worker.readiness() == (200, []), 30)
    assert worker.is_alive
    system.run(*replay)
    check_everything(system, ledger, began)
    gaps = json.loads(system.run("status", "--json", code=None))["accepted_gaps"]
    assert [(g["partition"], g["from_offset"], g["to_offset"]) for g in gaps] == [(DAMAGED, first, last + 1)]


def _check_odd_headers_survive_a_redrive(system: System, ledger: Ledger) -> None:
    batch = BatchSpec([Part(b"no event", b"k\xff", ODD_HEADERS)]).build()
    assert produce_raw(system.broker.bootstrap, TOPIC, HEALTHY, batch) == 0
    for _ in range(2):
        ledger.dead["malformed_json", b"no event"] += 1
    wait_until("the letter", lambda: system.query("SELECT count() FROM dead_letters FINAL") == [(1,)], 30)
    ((offset,),) = system.query("SELECT offset FROM dead_letters")
    assert "trace-\\xff=\\x00, =none, \\xed\\xa0\\x80=" in system.run("dead-letters", "show", f"{TOPIC}/0/{offset}")
    exported = json.loads(system.run("dead-letters", "export"))["headers"]
    assert [set(header) for header in exported] == [
        {"name_base64", "value_base64"},
        {"name", "value_base64"},
        {"name_base64", "value_base64"},
    ]
    assert system.run("dead-letters", "redrive").startswith("1 dead letters sent back")
    stored = "SELECT arrayMap(n -> hex(n), headers.name) FROM dead_letters FINAL ORDER BY offset"
    wait_until("its copy", lambda: len(system.query(stored)) == 2, 30)
    (before,), (after,) = system.query(stored)
    assert (before, after[:3]) == (["74726163652DFF", "", "EDA080"], ["74726163652DFF", "", "EDA080"])


def _check_what_skip_refuses(system: System, first: int, last: int) -> None:
    def refused(what: str, *sentence: str, code: int = 4) -> None:
        said = system.run("skip", what, "--yes", code=code, stderr=True)
        assert all(words in said for words in sentence), said

    refused(f"{TOPIC}/{HEALTHY}/0", "can be read")
    refused(f"{TOPIC}/{DAMAGED}/{first}-{last + 1}", f"ends at offset {last}")
    refused(f"{TOPIC}/{DAMAGED}/{last + 900}", "the log of partition 1 ends at")
    refused(f"{TOPIC}/9/0", "has no partition 9")
    refused(f"other/0/{first}", "like message-events/3/1500-1519", code=2)
    assert system.query("SELECT count() FROM accepted_gaps") == [(0,)]


def test_records_that_are_gone_hold_their_partition_alone_until_the_loss_is_accepted(system: System) -> None:
    ledger, began = Ledger(seed=8, orgs=2), now()
    worker = system.start_worker("worker")
    send(system, ledger, DAMAGED, 100)
    system.wait_until_done(60)
    assert worker.end() == 0
    send(system, Ledger(seed=9), DAMAGED, 40)
    send(system, ledger, DAMAGED, 10)
    send(system, ledger, HEALTHY, 10)
    admin = system.broker.admin()  # must outlive the futures
    for future in admin.delete_records([TopicPartition(TOPIC, DAMAGED, 140)]).values():
        future.result(30)

    worker = system.start_worker("again")
    wait_until("the reason", lambda: reason(worker, "offset 100", "offsets 100 to 139 were deleted", "1/100-139`"), 30)
    wait_until("the other partition", lambda: not system.unfinished().keys() - {DAMAGED}, 30)
    assert "offsets 100 to 139 (40)" in system.run("skip", f"{TOPIC}/{DAMAGED}/100", "--yes")
    check_everything(system, ledger, began)
    assert "partition 1, offsets 100 to 139 are lost" in system.run("status", code=None)

    assert worker.end() == 0


def test_a_partition_without_a_leader_holds_nothing_but_itself(system: System) -> None:
    """One of the broker's two directories fails, as a disk does."""
    ledger, began = Ledger(seed=10, orgs=2), now()
    _await_directories(system)
    worker = system.start_worker("worker")
    send(system, ledger, DAMAGED, 20)
    send(system, ledger, HEALTHY, 20)
    check_everything(system, ledger, began)
    system.broker.stop()
    directory = segment(system, DAMAGED).parent
    aside = system.directory / "aside"
    directory.rename(aside)
    directory.write_bytes(b"")  # a file where the directory was: the whole disk counts as failed
    system.broker.start()
    wait_until("the reason", lambda: reason(worker, f"partition {DAMAGED}", "leader"), 60)
    again = system.start_worker("again")  # and at a start
    send(system, ledger, HEALTHY, 20)
    wait_until("the other partition", lambda: finished(system, HEALTHY, 40), 60)
    assert worker.is_alive
    assert again.is_alive
    system.broker.stop()
    directory.unlink()
    aside.rename(directory)
    system.broker.start()
    send(system, ledger, DAMAGED, 20)
    check_everything(system, ledger, began)
    assert (worker.end(), again.end()) == (0, 0)


def _await_directories(system: System) -> None:
    """The two partitions must lie in directories of their own: the broker spreads them."""
    assert segment(system, DAMAGED).parent.parent != segment(system, HEALTHY).parent.parent
