"""Schemas as a schema registry knows them."""

from dataclasses import dataclass
from enum import StrEnum


class SchemaKind(StrEnum):
    """The languages of schemas, by the registry's names."""

    AVRO = "AVRO"
    PROTOBUF = "PROTOBUF"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema with all that it refers to.

    ``text`` is as registered (of Protobuf: base64 of a serialized FileDescriptorProto); ``references`` are (name,
    text), dependencies first, without duplicates.
    """

    kind: SchemaKind
    text: str
    references: tuple[tuple[str, str], ...] = ()
