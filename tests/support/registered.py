"""Schemas as a registry has them and payloads as producers write them, by the libraries that producers use."""

import base64
import io
import json
from typing import Any

import fastavro
from google.protobuf import any_pb2, descriptor_pool, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass
from google.type import date_pb2, decimal_pb2

from pipeline.core.exact import FieldError
from pipeline.registry.payloads.readers import reader_of
from pipeline.registry.payloads.refused import PayloadRefused
from pipeline.registry.schema import Schema, SchemaKind

KNOWN = (any_pb2, struct_pb2, timestamp_pb2, wrappers_pb2, decimal_pb2, date_pb2)


def avro(*fields: dict[str, Any], name: str = "MessageEvent") -> dict[str, Any]:
    """A record of these fields."""
    return {"type": "record", "name": name, "fields": list(fields)}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def avro_schema(spec: Any, *references: tuple[str, Any]) -> Schema:
    return Schema(SchemaKind.AVRO, json.dumps(spec), tuple((name, json.dumps(text)) for name, text in references))


def avro_payload(spec: Any, value: Any) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(spec), value)
    return file.getvalue()


def zigzag(number: int) -> bytes:
    """A number as Avro and message indexes have it."""
    bits = number << 1 if number >= 0 else (-number << 1) - 1
    return varint(bits)


def varint(bits: int) -> bytes:
    digits = [bits >> shift & 0x7F for shift in range(0, max(bits.bit_length(), 1), 7)]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def text(value: str) -> bytes:
    """A short string as Avro has it."""
    return zigzag(len(value.encode())) + value.encode()


def proto_file(syntax: str = "proto3", *, package: str = "acme", path: str = "acme/event.proto") -> FileDescriptorProto:
    return FileDescriptorProto(name=path, syntax=syntax, package=package)


def add_field(message: Any, name: str, kind: str, number: int = 0, **more: Any) -> FieldDescriptorProto:
    """Add a field of a scalar type, or of a named one."""
    added: FieldDescriptorProto = message.field.add(name=name, number=number or len(message.field) + 1, label=1)
    if kind in ("string", "bytes", "bool", "float", "double") or "int" in kind or kind.startswith(("fixed", "sfixed")):
        added.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    else:
        added.type_name = kind
        added.type = FieldDescriptorProto.TYPE_MESSAGE
    for name, value in more.items():
        setattr(added, name, value)
    return added


def proto_text(file: FileDescriptorProto) -> str:
    return base64.b64encode(file.SerializeToString()).decode()


def proto_schema(file: FileDescriptorProto, *references: FileDescriptorProto) -> Schema:
    return Schema(SchemaKind.PROTOBUF, proto_text(file), tuple((other.name, proto_text(other)) for other in references))


def proto_class(file: FileDescriptorProto, name: str, *references: FileDescriptorProto) -> Any:
    """The class of a message as a producer has it, with all of the file in its pool."""
    pool = descriptor_pool.DescriptorPool()
    for known in KNOWN:
        copy = FileDescriptorProto()
        known.DESCRIPTOR.CopyToProto(copy)
        pool.Add(copy)
    for other in (*references, file):
        pool.Add(other)
    return GetMessageClass(pool.FindMessageTypeByName(name))


def read(schema: Schema, payload: bytes) -> Any:
    """The JSON of a payload."""
    return json.loads(reader_of(schema)(payload))


def refusal(schema: Schema, payload: bytes) -> str:
    """The sentence by which a payload is refused."""
    reader = reader_of(schema)
    try:
        answer = reader(payload)
    except (FieldError, PayloadRefused) as error:
        return str(error)
    raise AssertionError(f"it was read as {answer!r}")
