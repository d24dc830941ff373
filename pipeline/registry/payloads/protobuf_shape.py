"""A message of ours for one of theirs: with the converted fields alone, at the same numbers.

Payloads are parsed by it, so that all other fields are unknown ones: they cost their bytes, not objects, and their
types need not even be known. Messages of theirs can take a thousand times their bytes. An enum is read as its number,
since a closed one would hide what it does not know.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from pipeline.core.refusal import excerpt
from pipeline.registry.payloads.fields import DATA, EVENT_FIELDS, JsonValue, converted_fields, refuse_type
from pipeline.registry.payloads.protobuf_schema import Message, Types, has_presence, is_group, type_name
from pipeline.registry.payloads.protobuf_values import (
    INT32,
    PARTS,
    REMEDIES,
    Convert,
    enum_convert,
    message_convert,
    scalar_convert,
)
from pipeline.registry.payloads.refused import PayloadRefused

MESSAGE, GROUP = FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_GROUP
ENUM = FieldDescriptorProto.TYPE_ENUM
OPTIONAL, REPEATED = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED

_EMPTY: Final = "Empty"
NEVER_ASKED, ASKED_IF_EMPTY, ASKED = 0, 1, 2
"""Ways to know that a field is set. Its default means absent; or only then the message is asked; or it always is, since
a message that is not set reads as an empty one. To ask costs more than to read."""


class Shape:
    """A pruned message: its name, and the conversions of its fields. These are added once it has the name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._steps: list[tuple[str, Convert, int]] = []
        self._values_of: Callable[[Any], tuple[Any, ...]] = lambda _message: ()

    def add(self, field: str, convert: Convert, presence: int) -> None:
        self._steps.append((field, convert, presence))
        names = [name for name, _, _ in self._steps]
        self._values_of = attrgetter(*names, *["DESCRIPTOR"] * (2 - len(names)))  # of one name it makes no tuple

    def object_of(self, message: Any) -> dict[str, JsonValue]:
        """The object of the fields that are set."""
        found: dict[str, JsonValue] = {}
        for (name, convert, presence), value in zip(self._steps, self._values_of(message), strict=False):
            if (presence == ASKED or not value) and not (presence and message.HasField(name)):
                continue
            found[name] = convert(value)
        return found


@dataclass(frozen=True, slots=True)
class _Type:
    """The type of a field in the pruned message, and its conversion. ``message`` is the name of its type, if any."""

    number: int
    convert: Convert
    message: str = ""


def reader_of_message(types: Types, message: Message) -> Callable[[bytes], dict[str, JsonValue]]:
    """The reader of a message's bytes. Raises PayloadRefused for a schema that is not valid."""
    builder = _Builder(types)
    shape = builder.shape(message)
    pool = DescriptorPool()
    try:
        pool.Add(builder.file)
    except TypeError as error:
        raise PayloadRefused(f"the Protobuf schema is not valid: {excerpt(str(error))}") from None
    parse, object_of = GetMessageClass(pool.FindMessageTypeByName(shape.name)).FromString, shape.object_of

    def read(body: bytes) -> dict[str, JsonValue]:
        try:
            parsed = parse(body)
        except DecodeError:
            raise PayloadRefused(f"the payload is not the message {excerpt(message.name)} of its schema") from None
        return object_of(parsed)

    return read


class _Builder:
    """A file of pruned messages, in proto2, where every field tells whether it is set."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._shapes: dict[tuple[str, bool], Shape] = {}
        self._copies: set[str] = set()
        self.file = FileDescriptorProto(name="pruned.proto", syntax="proto2")
        self.file.message_type.add(name=_EMPTY)

    def shape(self, theirs: Message, *, is_data: bool = False) -> Shape:
        """The pruned message; that of a CloudEvent's data has no data itself."""
        if (theirs.name, is_data) in self._shapes:
            return self._shapes[theirs.name, is_data]
        shape = self._shapes[theirs.name, is_data] = Shape(f"Message{len(self._shapes)}")
        pruned = self.file.message_type.add(name=shape.name)
        names = {field.name for field in theirs.shape.field}
        if len(names) < len(theirs.shape.field):
            raise PayloadRefused(f"the Protobuf message {excerpt(theirs.name)} has two fields of one name")
        converted = EVENT_FIELDS if is_data else converted_fields(names)
        oneofs = _Oneofs(pruned, [_oneof(field) for field in theirs.shape.field if field.name in converted])
        for field in theirs.shape.field:
            if field.name in converted:
                kind = self._type(theirs, field, field.name)
                _add(pruned, field, field.name, kind, oneofs)
                shape.add(field.name, kind.convert, _presence(theirs, field, kind))
            elif _oneof(field) in oneofs.indexes:  # set, it unsets the converted ones beside it
                _add(pruned, field, f"_{field.number}", self._type(theirs, field, ""), oneofs)
        return shape

    def _type(self, theirs: Message, field: FieldDescriptorProto, name: str) -> _Type:
        """The type of a field. Repeated ones, groups and most messages are only seen to be set, and refused then."""
        repeated = "repeated " if field.label == REPEATED else ""
        full = self._types.resolve(field.type_name, theirs.name) if field.type_name else type_name(field)
        refused = refuse_type(name, REMEDIES.get(name, ""), repeated + full)
        if not field.type_name:
            return _Type(field.type, refused if repeated else scalar_convert(name, field.type, full))
        enum = self._types.enums.get(full)
        if enum is not None or field.type == ENUM:
            return _Type(INT32, refused if repeated or enum is None or not name else enum_convert(name, enum))
        if repeated or is_group(theirs.file, field):
            return _Type(GROUP if is_group(theirs.file, field) else MESSAGE, refused, _EMPTY)
        return self._message_type(name, full) or _Type(MESSAGE, refused, _EMPTY)

    def _message_type(self, name: str, full: str) -> _Type | None:
        convert = message_convert(name, full)
        if convert is not None:
            return _Type(MESSAGE, convert, self._copy(full))
        if name == DATA and full in self._types.messages:
            shape = self.shape(self._types.messages[full], is_data=True)
            return _Type(MESSAGE, shape.object_of, shape.name)
        return None

    def _copy(self, full: str) -> str:
        """The name of a copy of a message that every client knows."""
        name = full.replace(".", "_")
        if name not in self._copies:
            self._copies.add(name)
            copy = self.file.message_type.add(name=name)
            for number, (part, scalar) in enumerate(PARTS[full], 1):
                copy.field.add(name=part, number=number, type=scalar, label=OPTIONAL)
        return name


class _Oneofs:
    """The oneofs of a message that have a converted field, in the order of the pruned message."""

    def __init__(self, pruned: DescriptorProto, theirs: list[int | None]) -> None:
        self.indexes = {index: number for number, index in enumerate(sorted({i for i in theirs if i is not None}))}
        for number in self.indexes.values():
            pruned.oneof_decl.add(name=f"oneof{number}")


def _presence(theirs: Message, field: FieldDescriptorProto, kind: _Type) -> int:
    if field.label == REPEATED or not (kind.message or has_presence(theirs.file, field)):
        return NEVER_ASKED
    return ASKED if kind.message else ASKED_IF_EMPTY


def _oneof(field: FieldDescriptorProto) -> int | None:
    """The oneof that a field is a member of; an optional field of proto3 has one for itself that is none."""
    return field.oneof_index if field.HasField("oneof_index") and not field.proto3_optional else None


def _add(pruned: DescriptorProto, theirs: FieldDescriptorProto, name: str, kind: _Type, oneofs: _Oneofs) -> None:
    label = REPEATED if theirs.label == REPEATED else OPTIONAL
    ours = pruned.field.add(name=name, number=theirs.number, type=kind.number, label=label)
    if kind.message:
        ours.type_name = f".{kind.message}"
    index = _oneof(theirs)
    if index in oneofs.indexes:
        ours.oneof_index = oneofs.indexes[index]
