"""Files of Protobuf with one message that has the fields of an event, and payloads of it."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from pipeline.registry.schema import Schema
from tests.support.registered import add_field, proto_class, proto_file, proto_schema, read

INTEGERS = (
    *("int32", "int64", "uint32", "uint64", "sint32", "sint64"),
    *("fixed32", "fixed64", "sfixed32", "sfixed64"),
)
SECONDS = 1777982400
CONFLUENT = FileDescriptorProto(name="confluent/type/decimal.proto", syntax="proto3", package="confluent.type")
_decimal = CONFLUENT.message_type.add(name="Decimal")
for _name, _kind in (("value", "bytes"), ("precision", "uint32"), ("scale", "int32")):
    add_field(_decimal, _name, _kind)
IMPORTS = (
    *(f"google/protobuf/{name}.proto" for name in ("any", "struct", "timestamp", "wrappers")),
    *(f"google/type/{name}.proto" for name in ("decimal", "date")),
    "confluent/type/decimal.proto",
)


def event_file(syntax: str = "proto3") -> tuple[FileDescriptorProto, DescriptorProto]:
    """A file with an enum, another message, and a first message that has two fields to be ignored."""
    file = proto_file(syntax)
    file.dependency.extend(IMPORTS)
    message = file.message_type.add(name="Event")
    add_field(message, "ignored", "string", 99)
    add_field(message, "ignored_too", ".acme.Other", 98)
    add_field(file.message_type.add(name="Other"), "org_id", "string")
    enum = file.enum_type.add(name="Type")
    for number, symbol in enumerate(("TYPE_UNSPECIFIED", "MESSAGE_SENT", "MESSAGE_FAILED")):
        enum.value.add(name=symbol, number=number)
    return file, message


def written(file: FileDescriptorProto, fill: Callable[[Any], object]) -> tuple[Schema, bytes]:
    message = proto_class(file, "acme.Event", CONFLUENT)()
    message.ignored = "x"
    message.ignored_too.org_id = "not this one"
    fill(message)
    return proto_schema(file, CONFLUENT), b"\0" + message.SerializeToString()


def one_field(name: str, kind: str, *, syntax: str = "proto3", cloud: bool = False, **more: Any) -> FileDescriptorProto:
    file, message = event_file(syntax)
    if cloud:
        add_field(message, "specversion", "string")
    if kind == "enum":
        add_field(message, name, ".acme.Type", 1, type=FieldDescriptorProto.TYPE_ENUM, **more)
    else:
        add_field(message, name, kind, 1, **more)
    if more.get("proto3_optional"):
        message.oneof_decl.add(name=f"_{name}")
    return file


def value_of(file: FileDescriptorProto, name: str, fill: Callable[[Any], object]) -> Any:
    found = read(*written(file, fill))
    assert found.keys() <= {name}
    return found.get(name)


def set_to(name: str, value: Any) -> Callable[[Any], object]:
    return lambda message: setattr(message, name, value)
