"""A real schema registry, confluent-kafka's own serializers, a real broker and worker; the registry goes and comes."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from tests.support.apicurio import Registry, basic_auth
from tests.support.places import TOPIC
from tests.support.system import ROOT, Process, System, require_kafka, wait_until

PASSWORD = "s3cret"
NOW = datetime.now(UTC).replace(microsecond=123_000)
FRAMED, PLAIN = 0, 1
AWAY_SECONDS = 30
AVRO = {
    "type": "record",
    "name": "MessageEvent",
    "fields": [
        {"name": "event_id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "type", "type": {"type": "enum", "name": "T", "symbols": ["MESSAGE_SENT", "MESSAGE_DELIVERED"]}},
        {"name": "org_id", "type": "string"},
        {"name": "channel", "type": "string"},
        {"name": "trace", "type": {"type": "map", "values": "bytes"}},
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "error_code", "type": ["null", "string"]},
        {"name": "cost_cents", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 4}},
    ],
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that lets in one user, and may be stopped."""
    require_kafka()
    running = Registry(tmp_path_factory.mktemp("registry"), ROOT / ".cache", basic_auth({"reader": PASSWORD})).start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("framed")
    with System(
        directory,
        2,
        lateness_seconds="1",
        schema_registry_url=registry.url,
        schema_registry_user="reader",
        schema_registry_password=PASSWORD,
    ) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def worker(system: System) -> Process:
    return system.start_worker("worker")


@pytest.fixture(scope="module")
def client(registry: Registry) -> Iterator[Any]:
    config = {"url": registry.url, "basic.auth.user.info": f"reader:{PASSWORD}"}
    with SchemaRegistryClient(config) as running:
        yield running


def avro(client: Any, subject: str, **changes: Any) -> bytes:
    event = {
        "event_id": "6F1A0C52-3B7E-4D21-9C44-0F6E2A9B7D10",
        "type": "MESSAGE_SENT",
        "org_id": "acme",
        "channel": "sms",
        "trace": {"a": b"\0"},
        "occurred_at": NOW,
        "error_code": None,
        "cost_cents": Decimal("0.7500"),
        **changes,
    }
    return bytes(AvroSerializer(client, json.dumps(AVRO))(event, SerializationContext(subject, MessageField.VALUE)))


def protobuf(client: Any, event_id: str, package: str = "acme") -> bytes:
    """The second message of a file that imports another. Each package is a schema of its own."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}/events.proto", package=package, syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    file.message_type.add(name="Other").field.add(name="org_id", number=1, type=field.TYPE_STRING)
    kinds = file.enum_type.add(name="Type")
    for number, name in enumerate(("TYPE_UNSPECIFIED", "MESSAGE_SENT", "MESSAGE_DELIVERED")):
        kinds.value.add(name=name, number=number)
    message = file.message_type.add(name="MessageEvent")
    for number, name in enumerate(("event_id", "org_id", "channel"), 1):
        message.field.add(name=name, number=number, type=field.TYPE_STRING)
    message.field.add(name="type", number=4, type=field.TYPE_ENUM, type_name=f".{package}.Type")
    message.field.add(name="occurred_at", number=5, type=field.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp")
    message.field.add(name="cost_cents", number=6, type=field.TYPE_DOUBLE)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.MessageEvent"))
    event = kind(event_id=event_id, org_id="acme", channel="email", type=2, cost_cents=0.1)
    event.occurred_at.FromDatetime(NOW)
    config = {"use.deprecated.format": False}
    serializer = ProtobufSerializer(kind, client, config)
    return bytes(serializer(event, SerializationContext(f"protobuf-{package}", MessageField.VALUE)))


def json_schema(client: Any, event_id: str) -> bytes:
    schema = json.dumps({"title": "MessageEvent", "type": "object", "properties": {"org_id": {"type": "string"}}})
    return bytes(JSONSerializer(schema, client)(plain(event_id), SerializationContext("json", MessageField.VALUE)))


def plain(event_id: str) -> dict[str, Any]:
    at = NOW.isoformat()
    return {"event_id": event_id, "type": "message.sent", "org_id": "acme", "channel": "sms", "occurred_at": at}


def send(system: System, value: bytes, partition: int = FRAMED) -> None:
    producer = system.producer()
    producer.produce(TOPIC, value, partition=partition)
    assert producer.flush(30) == 0


def facts(system: System, *ids: str) -> list[tuple[Any, ...]]:
    return system.query(
        "SELECT event_id, toString(type), channel, toFloat64(cost_cents), toUnixTimestamp64Milli(occurred_at) "
        "FROM facts FINAL WHERE event_id IN {ids:Array(String)} ORDER BY event_id",
        ids=list(ids),
    )


def letters(system: System) -> list[tuple[str, str]]:
    return system.query("SELECT reason, detail FROM dead_letters ORDER BY offset")


def waits(worker: Process, *words: str) -> bool:
    return any(all(word in reason for word in words) for reason in worker.readiness()[1])


def test_events_of_confluents_serializers_are_counted(system: System, client: Any) -> None:
    send(system, avro(client, "avro"))
    send(system, protobuf(client, "protobuf-1"))
    send(system, json_schema(client, "json-1"))
    ids = ("6f1a0c52-3b7e-4d21-9c44-0f6e2a9b7d10", "json-1", "protobuf-1")
    wait_until("the facts", lambda: len(facts(system, *ids)) == 3, 60)
    ms = int(NOW.timestamp() * 1000)
    assert facts(system, *ids) == [
        (ids[0], "message.sent", "sms", 0.75, ms),
        ("json-1", "message.sent", "sms", 0.0, ms),
        ("protobuf-1", "message.delivered", "email", 0.1, ms),
    ]
    assert letters(system) == []


def test_doctor_looks_at_the_registry(system: System, registry: Registry) -> None:
    assert f"ok    a schema registry answers at {registry.url}" in system.run("doctor", code=None)
    said = system.run("doctor", code=1, schema_registry_password="wrong")
    assert "FAIL  the schema registry at" in said
    assert "check MSGMETRICS_SCHEMA_REGISTRY_USER and MSGMETRICS_SCHEMA_REGISTRY_PASSWORD" in said
    assert "wrong" not in said.replace("something is wrong", "")


def test_a_registry_that_is_away_makes_only_the_partitions_wait_that_need_it(
    system: System, worker: Process, registry: Registry, client: Any
) -> None:
    ids = sorted(str(uuid4()) for _ in range(5))
    held = [protobuf(client, "own-1", "own"), *(avro(client, "avro", event_id=x) for x in ids)]
    registry.stop()
    for value in held:
        send(system, value)
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < AWAY_SECONDS:
        beside = f"beside-{sent}"
        send(system, json.dumps(plain(beside)).encode(), PLAIN)
        wait_until("the plain event", lambda: bool(facts(system, beside)), 20)  # noqa: B023
        sent += 1
    assert waits(worker, f"partition {TOPIC}/{FRAMED} waits", "schema registry", "cannot be reached")
    assert facts(system, "own-1", *ids) == []
    registry.start()
    wait_until("what waited", lambda: len(facts(system, "own-1", *ids)) == 6, 60)
    wait_until("that it is ready", lambda: worker.readiness() == (200, []), 20)
    assert worker.is_alive, "no watchdog has ended it"
    assert letters(system) == []


def test_a_schema_that_nobody_registered_is_a_letter_that_can_be_sent_back(system: System, client: Any) -> None:
    """Ten seconds after the first 404, since registries lag."""
    ids = [9_000_001, 9_000_002]
    for number in ids:
        send(system, b"\0" + number.to_bytes(4, "big") + b"\2x")
    send(system, json.dumps(plain("behind")).encode())
    wait_until("the event behind them", lambda: bool(facts(system, "behind")), 60)
    wait_until("their letters", lambda: len(letters(system)) == 2, 10)  # which a flush writes behind the facts
    found = letters(system)
    assert [reason for reason, _ in found] == ["unknown_schema"] * 2
    assert all(f"has no schema {number}" in detail for number, (_, detail) in zip(ids, found, strict=True))
    assert "2 dead letters sent back" in system.run("dead-letters", "redrive", "--reason", "unknown_schema")
    wait_until("their second reading", lambda: len(letters(system)) == 4, 60)


def test_a_replay_reads_them_again_and_finds_nothing_new(system: System) -> None:
    span = ("--from", "2020-01-01T00:00:00Z", "--to", "2099-01-01T00:00:00Z")
    said = system.run("replay", *span, "--dry-run")
    assert " 0 new facts, " in said
    assert " 0 new dead letters, 0 known ones, 0 too late" in said
    assert ", 4 of unknown schemas, which it leaves as well" in said
    assert ": 0 events" not in system.run("replay", *span)
