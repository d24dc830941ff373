"""The schema registry of the tests takes what Confluent's serializers register, and keeps it over a kill."""

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.support.apicurio import Registry, basic_auth, registry_problem
from tests.support.system import ROOT, require

AVRO = json.dumps({"type": "record", "name": "Event", "fields": [{"name": "id", "type": "string"}]})
JSON = json.dumps({"title": "Event", "type": "object", "properties": {"id": {"type": "string"}}})
FIELD = descriptor_pb2.FieldDescriptorProto


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Registry]:
    """A registry that a test may stop and kill."""
    require(registry_problem())
    running = Registry(tmp_path, ROOT / ".cache", basic_auth({"reader": "secret"})).start()
    yield running
    running.kill()


@contextlib.contextmanager
def client_of(registry: Registry, **users: str) -> Iterator[Any]:
    with SchemaRegistryClient({"url": registry.url, **users}) as client:
        yield client


def value_of(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE)


def schema_of(registry: Registry, record: bytes) -> dict[str, Any]:
    """The registry's answer about the schema that a record names."""
    assert record[0] == 0
    with urllib.request.urlopen(f"{registry.url}/schemas/ids/{int.from_bytes(record[1:5])}") as answer:
        return dict(json.load(answer))


def test_avro_is_registered_and_found_without_its_type(registry: Registry) -> None:
    with client_of(registry) as client:
        record = AvroSerializer(client, AVRO)({"id": "a"}, value_of("itself-avro"))
    assert record[5:] == b"\x02a"
    found = schema_of(registry, record)
    assert json.loads(found["schema"]) == json.loads(AVRO)
    assert "schemaType" not in found


def test_json_is_registered_and_found(registry: Registry) -> None:
    with client_of(registry) as client:
        record = JSONSerializer(JSON, client)({"id": "a"}, value_of("itself-json"))
    assert json.loads(record[5:]) == {"id": "a"}
    assert schema_of(registry, record) == {"schema": JSON, "schemaType": "JSON"}


def test_protobuf_is_registered_with_what_it_imports(registry: Registry) -> None:
    event = event_class()()
    event.place.city = "a"
    with client_of(registry) as client:
        record = ProtobufSerializer(type(event), client)(event, value_of("itself-protobuf"))
    assert record[5:] == b"\x00\x0a\x03\x0a\x01a"
    found = schema_of(registry, record)
    assert found["schemaType"] == "PROTOBUF"
    place = "itself/place.proto"
    assert found["references"] == [{"name": place, "subject": place, "version": 1}]


def event_class() -> Any:
    pool = descriptor_pool.Default()
    place = descriptor_pb2.FileDescriptorProto(name="itself/place.proto", package="itself", syntax="proto3")
    place.message_type.add(name="Place").field.add(name="city", number=1, type=FIELD.TYPE_STRING)
    event = descriptor_pb2.FileDescriptorProto(name="itself/event.proto", package="itself", syntax="proto3")
    event.dependency.append(place.name)
    event.message_type.add(name="Event").field.add(
        name="place", number=1, type=FIELD.TYPE_MESSAGE, type_name=".itself.Place"
    )
    pool.Add(place)
    pool.Add(event)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("itself.Event"))


def test_it_lets_in_its_users_alone_and_keeps_its_schemas_over_a_kill(own: Registry) -> None:
    with client_of(own, **{"basic.auth.user.info": "reader:secret"}) as client:
        record = AvroSerializer(client, AVRO)({"id": "a"}, value_of("kept"))
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        schema_of(own, record)
    refused.value.close()
    own.kill()
    own.start()
    assert schema_kept(own) == (int.from_bytes(record[1:5]), 1)
    own.restart()
    assert schema_kept(own) == (int.from_bytes(record[1:5]), 1)


def schema_kept(registry: Registry) -> tuple[int, int]:
    """Id and version of the one schema."""
    with client_of(registry, **{"basic.auth.user.info": "reader:secret"}) as client:
        latest = client.get_latest_version("kept-value")
        return latest.schema_id, latest.version
