"""``produce`` sends the greatest event in every envelope to a broker whose topic takes little more."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from confluent_kafka import Consumer, Message

from pipeline.core.event import decode_event
from pipeline.core.opening import decode_record
from schemas.message_event import MAX_EVENT_BYTES
from tests.support.kafka_broker import KafkaBroker
from tests.support.system import ROOT, clean_environment, require_kafka

EVENT = {"event_id": "1", "type": "message.sent", "org_id": "acme", "channel": "sms", "cost_cents": "0.750"}
AT = "2026-05-05T10:15:00Z"
ENVELOPES = (
    ("plain",),
    ("cloudevents", "--source", "/shop"),
    ("cloudevents-binary",),
    ("confluent-json", "--schema-id", "7"),
)
ROOM = 1024


def greatest() -> bytes:
    """An event of 64 KiB that LZ4 cannot compress."""
    empty = json.dumps({**EVENT, "occurred_at": AT, "note": ""})
    note = base64.b64encode(os.urandom(MAX_EVENT_BYTES)).decode()[: MAX_EVENT_BYTES - len(empty)]
    return json.dumps({**EVENT, "occurred_at": AT, "note": note}).encode()


def read(broker: KafkaBroker, number: int) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe(["message-events"])
        return [consumer.consume(1, timeout=30)[0] for _ in range(number)]
    finally:
        consumer.close()


def test_the_greatest_event_is_sent_in_every_envelope(tmp_path: Path) -> None:
    require_kafka()
    line = greatest()
    (tmp_path / "events").write_bytes(line)
    broker = KafkaBroker(tmp_path / "kafka", ROOT / ".cache").start()
    try:
        broker.create_topic("message-events", 1, {"max.message.bytes": str(MAX_EVENT_BYTES + ROOM)})
        for words in ENVELOPES:
            command = ["produce", str(tmp_path / "events"), "--anyway", "--envelope", *words]
            subprocess.run(
                [sys.executable, "-m", "deploy.cli", *command],
                cwd=ROOT, check=True, timeout=60,
                env={**clean_environment(), "MSGMETRICS_KAFKA_BOOTSTRAP": broker.bootstrap},
            )  # fmt: skip
        messages = read(broker, len(ENVELOPES))
    finally:
        broker.stop()
    assert [len(message.headers() or ()) for message in messages] == [0, 1, 6, 0]
    assert {message.key() for message in messages} == {b"acme"}
    for message in messages:
        assert decode_record(message.value(), message.headers() or (), None) == decode_event(line)
