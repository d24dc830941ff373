"""A thousand dead letters of every reason: listed, shown, exported, and sent back once a setting was wrong."""

import base64
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.support.kafka_broker import KafkaBroker
from tests.support.ledger import Ledger, Produced
from tests.support.places import TOPIC
from tests.support.recount import check_everything
from tests.support.system import ROOT, System, require_kafka, wait_until

LETTERS = 500
AHEAD = timedelta(seconds=8)
"""How far the repairable half is ahead of its records: more than the strict setting, less than the usual."""
STRICT, USUAL = "1", "300"


def test_a_thousand_letters_are_kept_shown_and_redriven(tmp_path: Path) -> None:
    require_kafka()
    broker = KafkaBroker(tmp_path / "kafka", ROOT / ".cache").start()
    # Until the letters are there the topic keeps a producer's times: events that are ahead of their records may then
    # be of a minute that has ended, and nobody waits for its end.
    broker.create_topic(TOPIC, 2)
    with System(tmp_path, partitions=2, broker=broker, lateness_seconds="2", future_skew_seconds=STRICT) as system:
        strict = system.start_worker("strict")
        ledger, now = Ledger(seed=51, orgs=4), datetime.now(UTC)
        at = now.replace(second=0, microsecond=0) - timedelta(milliseconds=1)
        system.produce([ledger.broken(now) for _ in range(LETTERS)])
        broken = ledger.dead.total()
        early = [ledger.produced(ledger.event(at)) for _ in range(LETTERS + 1)]
        _produce_early(system, early, at - AHEAD)
        ledger.dead.update(("future_timestamp", record.value) for record in early)
        total = broken + len(early)
        wait_until("the letters", lambda: system.query("SELECT count() FROM dead_letters FINAL") == [(total,)], 30)

        _check_what_is_said(system, ledger, early[-1])
        assert strict.end() == 0
        _set_topic(system, "message.timestamp.type", "LogAppendTime")
        system.environment["MSGMETRICS_FUTURE_SKEW_SECONDS"] = USUAL
        system.start_worker("usual")
        _check_redrive(system, ledger, len(early))
        _check_large_ones(system, ledger)
        _check_other_topics(system, ledger)
        check_everything(system, ledger, datetime.now(UTC))


def _produce_early(system: System, records: list[Produced], stamp: datetime) -> None:
    """Send records with a time of their own, the last one with headers, by which it is known."""
    producer, at_ms = system.producer(), int(stamp.timestamp() * 1000)
    *plain, headed = records
    for record in plain:
        producer.produce(TOPIC, record.value, key=record.key, timestamp=at_ms)
    headers = [("trace", b"\x00\xff"), ("trace", b"2"), ("empty", b""), ("null", None)]
    producer.produce(TOPIC, headed.value, key=b"a key", headers=headers, partition=1, timestamp=at_ms)
    assert producer.flush(10) == 0


def _place(system: System) -> str:
    ((offset,),) = system.query("SELECT offset FROM dead_letters WHERE partition = 1 AND key = 'a key'")
    return f"{TOPIC}/1/{offset}"


def _check_what_is_said(system: System, ledger: Ledger, headed: Produced) -> None:
    reasons: Counter[str] = Counter()
    for (reason, _), number in ledger.dead.items():
        reasons[reason] += number
    listed = system.run("dead-letters", "list")
    assert {r: int(n) for n, r in re.findall(r"^ *(\d+) (\w+)$", listed, re.MULTILINE)} == reasons
    assert "org-0" in system.run("dead-letters", "list", "--reason", "future_timestamp", "--org", "org-0")
    event = json.loads(headed.value or b"")
    shown = system.run("dead-letters", "show", _place(system))
    assert event["event_id"] in shown
    assert "trace=\\x00\\xff, trace=2, empty=, null=none" in shown
    exported = [json.loads(line) for line in system.run("dead-letters", "export").splitlines()]
    values = [x["value_base64"] for x in exported]
    bytes_of = Counter(None if value is None else base64.b64decode(value) for value in values)
    assert bytes_of == Counter({value: 0 for _, value in ledger.dead}) + Counter(
        value for (_, value), number in ledger.dead.items() for _ in range(number)
    )
    explained = system.run("explain", "--org", event["org_id"], "--event", event["event_id"])
    assert f"dead letter {_place(system)}: future_timestamp" in explained


def _check_redrive(system: System, ledger: Ledger, repairable: int) -> None:
    """The setting was too strict: half of the letters are valid events, and the others fail again."""
    hopeless = {key: n for key, n in ledger.dead.items() if key[0] == "future_timestamp" and n and key[1] is not None}
    early = {value for (_, value) in hopeless if json.loads(value or b"")["event_id"] != "b"}
    assert len(early) == repairable
    failing = {key: n for key, n in hopeless.items() if key[1] not in early}
    number = repairable + sum(failing.values())
    words = ("dead-letters", "redrive", "--reason", "future_timestamp")
    assert system.run(*words, "--dry-run").startswith(f"{number} dead letters would be sent back")
    assert system.run(*words).startswith(f"{number} dead letters sent back")
    ledger.dead.update(failing)
    wait_until("the events", lambda: system.query("SELECT count() FROM facts FINAL") == [(repairable,)], 60)
    marked = {"trace": b"2", "empty": b"", "null": None, "msgmetrics-redriven": _place(system).encode()}
    assert [key for key, headers in system.keys_and_headers() if headers == marked] == [b"a key"]

    # Once more, and nothing that is counted or was sent before goes out again.
    again = system.run(*words)
    assert again.startswith("0 dead letters sent back")
    assert f"{repairable} whose event is counted by now" in again
    assert "its event is counted by now" in system.run("dead-letters", "show", _place(system))


def _check_large_ones(system: System, ledger: Ledger) -> None:
    """One that the topic takes and the client's default does not, and one that the topic takes no more."""
    sizes = {b"a": 70_000, b"b": 1_040_000, b"c": 1_010_000, b"d": 70_000}
    large = [letter * size for letter, size in sizes.items()]
    system.produce([Produced(None, value) for value in large], **{"message.max.bytes": 2_000_000})
    ledger.dead.update(("too_large", value) for value in large)
    values = [key for key, number in ledger.dead.items() for _ in range(number) if key[0] == "too_large"]
    _wait_for_too_large(system, len(values))
    _set_topic(system, "max.message.bytes", "1020000")
    words = ("dead-letters", "redrive", "--reason", "too_large")
    sent = f"{len(values) - 1} dead letters sent back; left alone: 1 that Kafka does not take"
    assert system.run(*words, code=1).startswith(sent)
    _wait_for_too_large(system, 2 * len(values) - 1)
    assert system.run(*words, code=1).startswith("0 dead letters sent back")
    _set_topic(system, "max.message.bytes", "2000000")
    assert system.run(*words).startswith("1 dead letters sent back")
    _wait_for_too_large(system, 2 * len(values))
    ledger.dead.update(values)


def _check_other_topics(system: System, ledger: Ledger) -> None:
    """Of a topic that is no longer read, and had more partitions: left, unless it is said where to send it."""
    system.query(
        "INSERT INTO dead_letters SELECT * REPLACE ('old' AS topic, 9 AS partition) FROM dead_letters FINAL "
        "WHERE reason = 'empty' AND NOT has_value LIMIT 1"
    )
    words = ("dead-letters", "redrive", "--topic", "old")
    left = "1 of old, which is not read (MSGMETRICS_KAFKA_TOPIC); --to-topic sends them to another topic"
    assert system.run(*words, "--dry-run") == system.run(*words).replace(" sent back;", " would be sent back;")
    assert system.run(*words).splitlines()[1:] == [left]
    system.run(*words, "--to-topic", "old", code=2)
    missing = {"kafka_topic": f"{TOPIC},missing"}
    assert system.start("missing", "-m", "deploy.cli", *words, "--to-topic", "missing", **missing).wait(60) == 4
    assert system.run(*words, "--to-topic", TOPIC).startswith("1 dead letters sent back")
    count = "SELECT count() FROM dead_letters FINAL WHERE arrayExists(x -> x.2 LIKE 'old/9/%', headers)"
    wait_until("its copy", lambda: system.query(count) == [(1,)], 30)
    assert system.query("SELECT topic, partition FROM redrives WHERE topic != 'message-events'") == [("old", 9)]
    ledger.dead["empty", None] += 2


def _wait_for_too_large(system: System, number: int) -> None:
    count = "SELECT count() FROM dead_letters FINAL WHERE reason = 'too_large'"
    wait_until(f"{number} letters", lambda: system.query(count) == [(number,)], 30)


def _set_topic(system: System, name: str, value: str) -> None:
    wanted = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, TOPIC, incremental_configs=[wanted])
    admin = system.broker.admin()  # its requests end with it
    admin.incremental_alter_configs([resource])[resource].result(10)
