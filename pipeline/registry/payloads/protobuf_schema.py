"""Protobuf schemas: the messages and enums of a file and of those it imports, found by name or by index.

Only names are resolved here, by the rules of the language, and only those that are asked for. So options, and types
of fields that are not converted, need not be known; registries leave out what every client has, like google/type.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FeatureSet,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import DecodeError

from pipeline.core.refusal import excerpt
from pipeline.registry.payloads.refused import MAX_DEPTH, MAX_SCHEMA_CHARACTERS, PayloadRefused
from pipeline.registry.schema import Schema

Messages = Iterable[DescriptorProto]
Enums = Iterable[EnumDescriptorProto]

_MAX_NAME: Final = 1000
_KNOWN_FILES: Final = ("google/protobuf/", "google/type/", "confluent/")
_KNOWN_TYPES: Final = ("google.protobuf.", "google.type.", "confluent.")
"""Types that every client knows, so that registries may not have them. Those that are converted are known by name."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and the file that it is in."""

    name: str
    shape: DescriptorProto
    file: FileDescriptorProto


@dataclass(slots=True)
class Types:
    """All messages and enums of one schema by their full names, and the messages of its own file by their indexes."""

    file: FileDescriptorProto
    messages: dict[str, Message] = field(default_factory=dict)
    enums: dict[str, EnumDescriptorProto] = field(default_factory=dict)

    @classmethod
    def of(cls, schema: Schema) -> "Types":
        """Parse the files of a schema. Raises PayloadRefused."""
        if len(schema.text) + sum(len(text) for _, text in schema.references) > MAX_SCHEMA_CHARACTERS:
            raise PayloadRefused(f"the schema has more than {MAX_SCHEMA_CHARACTERS} characters")
        types = cls(_file(schema.text))
        given = {name for name, _ in schema.references}
        for path in types.file.dependency:
            if path not in given and not path.startswith(_KNOWN_FILES):
                raise PayloadRefused(f"the Protobuf schema imports {excerpt(path)}, which its references do not have")
        for file in (*(_file(text) for _, text in schema.references), types.file):
            types._add(file, file.package, file.message_type, file.enum_type)
        return types

    def at(self, path: tuple[int, ...]) -> Message:
        """The message of the schema's own file with these indexes. Raises PayloadRefused."""
        name, within = self.file.package, self.file.message_type
        for index in path:
            if not 0 <= index < len(within):
                raise PayloadRefused(f"the payload names the message {list(path)}, which its schema does not have")
            name = _join(name, within[index].name)
            within = within[index].nested_type
        return self.messages[name]

    def resolve(self, name: str, scope: str) -> str:
        """The full name of a type that is named within a message. Raises PayloadRefused."""
        if name.startswith("."):
            candidates = [name[1:]]
        else:
            parts = scope.split(".")
            candidates = [".".join((*parts[:count], name)) for count in range(len(parts), -1, -1)]
        for full in candidates:
            if full in self.messages or full in self.enums:
                return full
        if candidates[-1].startswith(_KNOWN_TYPES):
            return candidates[-1]
        raise PayloadRefused(f"the Protobuf schema names {excerpt(name)}, which neither it nor its references define")

    def _add(self, file: FileDescriptorProto, scope: str, messages: Messages, enums: Enums) -> None:
        for enum in enums:
            self.enums[self._new(_join(scope, enum.name))] = enum
        for shape in messages:
            name = self._new(_join(scope, shape.name))
            self.messages[name] = Message(name, shape, file)
            self._add(file, name, shape.nested_type, shape.enum_type)

    def _new(self, name: str) -> str:
        if len(name) > _MAX_NAME or name.count(".") > MAX_DEPTH:
            raise PayloadRefused(f"the Protobuf schema has a name that is too long or too deep, {excerpt(name)}")
        if name in self.messages or name in self.enums:
            raise PayloadRefused(f"the Protobuf schema and its references have two types of the name {excerpt(name)}")
        return name


def type_name(shape: FieldDescriptorProto) -> str:
    """A scalar type as the language names it. Raises PayloadRefused for a field without type."""
    if not shape.HasField("type"):
        raise PayloadRefused(f"the Protobuf schema has the field {excerpt(shape.name)} without a type")
    return str(FieldDescriptorProto.Type.Name(shape.type)).removeprefix("TYPE_").lower()


def has_presence(file: FileDescriptorProto, shape: FieldDescriptorProto) -> bool:
    """Whether an encoded default, like an empty string, is told from no value. So it is in proto2 and oneofs."""
    if file.syntax == "editions":
        told = shape.options.features.field_presence or file.options.features.field_presence
        is_explicit = told != FeatureSet.IMPLICIT
    else:
        is_explicit = file.syntax != "proto3"
    return bool(is_explicit or shape.HasField("oneof_index"))  # an optional field of proto3 has a oneof to itself


def is_group(file: FileDescriptorProto, shape: FieldDescriptorProto) -> bool:
    """Whether a message is encoded between two tags, not behind its length."""
    told = shape.options.features.message_encoding or file.options.features.message_encoding
    return bool(shape.type == FieldDescriptorProto.TYPE_GROUP or told == FeatureSet.DELIMITED)


def _file(text: str) -> FileDescriptorProto:
    try:
        return FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, DecodeError):
        raise PayloadRefused("the Protobuf schema is not the base64 of a FileDescriptorProto") from None


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name
