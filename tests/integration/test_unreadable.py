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
from tests.support.kafka_broker import TWO_DISKS, KafkaBroker
from tests.support.ledger import Ledger
from tests.support.places import TOPIC, place
from tests.support.raw_produce import produce_raw
from tests.support.record_batch import BatchSpec, Part
from tests.support.recount import check_everything
from tests.support.system import ROOT, Process, System, require_kafka, wait_until

LATENESS_SECONDS = 2
DAMAGED, HEALTHY = 1, 0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    require_kafka()
    directory = tmp_path_factory.mktemp("unreadable")
    broker = KafkaBroker(directory / "kafka", ROOT / ".cache", TWO_DISKS).start()
    with System(directory, partitions=2, broker=broker, lateness_seconds=str(LATENESS_SECONDS)) as running:
        yield running


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger(seed=31, orgs=3)


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


def test_a_partition_without_a_leader_holds_nothing_but_itself(system: System, ledger: Ledger) -> None:
    """One of the broker's two disks fails, the one on which the group's offsets are not.

    Before a batch is damaged: a broker that has to recover a log drops what lies behind one.
    """
    began, worker = now(), system.start_worker("on-one-disk")
    send(system, ledger, 0, 20)
    send(system, ledger, 1, 20)
    check_everything(system, ledger, began)
    (offsets,) = Path(system.broker.data).glob("*/__consumer_offsets-0")
    (failing,) = [number for number in (0, 1) if segment(system, number).parents[1] != offsets.parent]
    end = system.offsets()[place(1 - failing)][1]
    heal = system.broker.fail_disk()
    wait_until("the reason", lambda: reason(worker, f"partition {TOPIC}/{failing}", "leader"), 60)
    again = system.start_worker("at-a-start")
    wait_until("a start without a leader", lambda: "is running" in again.log.read_text(), 60)
    send(system, ledger, 1 - failing, 20)
    # Asked in ClickHouse, since the broker tells no end of the other one.
    wait_until("the other partition", lambda: durable(system, 1 - failing) == end + 20, 60)
    assert worker.is_alive
    assert again.is_alive
    heal()
    send(system, ledger, failing, 20)
    check_everything(system, ledger, began)
    assert (worker.end(), again.end()) == (0, 0)


def test_a_damaged_batch_holds_its_partition_alone_until_its_loss_is_accepted(system: System, ledger: Ledger) -> None:
    began = now()
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
    wait_until("the other partition", lambda: not system.unfinished().keys() - {place(DAMAGED)}, 30)
    assert durable(system, DAMAGED) == first
    metrics = httpx2.get(f"{worker.admin_url}/metrics").text
    assert re.search(r'msgmetrics_worker_partition_waiting\{partition="1",topic="[^"]+"\} 1\.0', metrics)
    assert re.search(r'msgmetrics_worker_partition_waiting\{partition="0",topic="[^"]+"\} 0\.0', metrics)
    status = json.loads(system.run("status", "--json", code=None))
    assert {p["partition"]: p["status"] for p in status["partitions"]}[DAMAGED] == "waiting"
    assert any("checksum" in sentence for sentence in status["reasons"])
    replay = ("replay", "--from", began.isoformat(timespec="seconds"), "--to", "2100-01-01T00:00:00Z")
    refused = system.run(*replay, code=4, stderr=True)
    assert f"skip {name}-{last}" in refused

    _check_what_skip_refuses(system, first, last)
    said = system.run("skip", name, "--yes")
    assert f"partition {TOPIC}/{DAMAGED}: offsets {first} to {last} (30) cannot be read: its checksum is wrong" in said
    check_everything(system, ledger, began)
    wait_until("readiness", lambda: worker.readiness() == (200, []), 30)
    system.run(*replay)
    assert worker.end() == 0
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
    def refused(what: str, sentence: str) -> None:
        assert sentence in system.run("skip", what, "--yes", code=4, stderr=True)

    refused(f"{TOPIC}/{HEALTHY}/0", "can be read")
    refused(f"{TOPIC}/{DAMAGED}/{first}-{last + 1}", f"ends at offset {last}")
    assert system.query("SELECT count() FROM accepted_gaps") == [(0,)]


def test_records_that_are_gone_hold_their_partition_alone_until_the_loss_is_accepted(
    system: System, ledger: Ledger
) -> None:
    began, (_, first) = now(), system.offsets()[place(DAMAGED)]
    last = first + 39
    send(system, Ledger(seed=9), DAMAGED, 40)  # counted nowhere
    send(system, ledger, DAMAGED, 10)
    send(system, ledger, HEALTHY, 10)
    admin = system.broker.admin()  # must outlive the futures
    for future in admin.delete_records([TopicPartition(TOPIC, DAMAGED, last + 1)]).values():
        future.result(30)

    worker, words = system.start_worker("third"), (f"waits at offset {first}", f"{first} to {last} were deleted")
    wait_until("the reason", lambda: reason(worker, *words, f"{TOPIC}/{DAMAGED}/{first}-{last}`"), 30)
    wait_until("the other partition", lambda: not system.unfinished().keys() - {place(DAMAGED)}, 30)
    said = system.run("skip", f"{TOPIC}/{DAMAGED}/{first}", "--yes")
    assert f"offsets {first} to {last} (40) cannot be read: deleted from the log" in said
    check_everything(system, ledger, began)
    assert f"{TOPIC}/{DAMAGED}, offsets {first} to {last} are lost" in system.run("status", code=None)
    assert worker.end() == 0
