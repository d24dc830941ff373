"""Frames of a schema registry as Confluent writes them: which schema, by number or GUID, and the payload behind it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import msgspec

from pipeline.core.json_text import fields_in
from pipeline.core.looks import look_of
from pipeline.core.records import Headers, RawRecord, headers_of
from pipeline.core.refusal import Refused, look_sentence
from pipeline.core.waiting import Cause
from schemas.message_event import DeadLetterReason

MAGIC: Final = b"\0"
GUID_MAGIC: Final = b"\1"
ID_HEADER: Final = b"__value_schema_id"
_FRAME_BYTES, _GUID_BYTES = 5, 17
HIGHEST_ID: Final = 2**31 - 1
"""Registries number schemas with Java's int."""
_OBJECT: Final = ord("{")
BLANK: Final = b" \t\r\n"

SchemaKey = int | str
"""The number of a schema, or its GUID as text in lower case."""
Reader = Callable[[bytes], bytes]
"""The JSON text of what a payload of one schema holds. Raises FieldError, Refused, or anything."""
Readers = Mapping[SchemaKey, Reader]
"""A reader for every schema that a batch needs: also for those that are unknown, which refuses."""


class Looked(NamedTuple):
    """Readers of the schemas that were looked up, and why others cannot be had yet."""

    readers: Readers
    missing: Mapping[SchemaKey, Cause]


class Schemas(Protocol):
    """The schemas of a registry, as far as they are known."""

    def look(self, keys: Collection[SchemaKey]) -> Looked:
        """Look up schemas without waiting; what is missing is asked for from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """A schema and a payload. Of Protobuf the payload begins with the indexes of its message."""

    key: SchemaKey
    payload: bytes

    @property
    def is_json(self) -> bool:
        """Whether it is JSON, whatever the schema says: nothing else begins so."""
        return _is_object(self.payload)


def _is_object(text: bytes) -> bool:
    """Whether a text is a JSON object. A blank before it might as well be the length of a text in Avro."""
    if text.startswith(b"{") or not text.lstrip(BLANK).startswith(b"{"):
        return text.startswith(b"{")
    try:
        return bool(fields_in(text))
    except (msgspec.DecodeError, RecursionError):
        return False


def is_framed(value: bytes, headers: Headers) -> bool:
    """Whether a value is in a frame, or its headers say of which schema it is and it is no JSON object by itself."""
    return value.startswith(MAGIC) or (bool(headers.get(ID_HEADER)) and not _is_object(value))


def frame_of(value: bytes, headers: Headers) -> Frame:
    """The frame of a value that has one. Raises Refused where it is none of Confluent's."""
    if named := headers.get(ID_HEADER):
        return _frame(named, named, value)
    return _frame(value, value[:_FRAME_BYTES], b"")


def _frame(prefix: bytes, shown: bytes, value: bytes) -> Frame:
    if prefix.startswith(GUID_MAGIC) and len(prefix) >= _GUID_BYTES and value:
        return Frame(guid_text(prefix[1:_GUID_BYTES]), prefix[_GUID_BYTES:] + value)
    number = int.from_bytes(prefix[1:_FRAME_BYTES], "big")
    if prefix.startswith(MAGIC) and len(prefix) >= _FRAME_BYTES and 0 < number <= HIGHEST_ID:
        return Frame(number, prefix[_FRAME_BYTES:] + value)
    why = "ids of 8 bytes are not read" if prefix.startswith(MAGIC + bytes(4)) else "it is none of Confluent's"
    remedy = "let the serializer write ids of 4 bytes, as Confluent does"
    raise Refused(DeadLetterReason.MALFORMED_JSON, f"it begins with {shown.hex(' ')}: {why}; {remedy}")


def guid_text(guid: bytes) -> str:
    """The text of a GUID's 16 bytes, in lower case."""
    digits = guid.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def needed(value: bytes | None, headers: Headers) -> SchemaKey | None:
    """The schema that is needed to read a value; None for one that needs none, whatever is wrong with it."""
    if not value or not is_framed(value, headers):
        return None
    try:
        frame = frame_of(value, headers)
    except Refused:
        return None
    return None if frame.is_json else frame.key


def keys_needed(records: Sequence[RawRecord]) -> list[tuple[int, SchemaKey]]:
    """The offsets of the records that need schemas, with these. Hot, once per record."""
    return [
        (record.offset, key)
        for record in records
        if (value := record.value) and (value[0] == 0 or (record.headers and value[0] != _OBJECT))
        if (key := needed(value, headers_of(record.headers))) is not None
    ]


def unframed(value: bytes, headers: Headers, readers: Readers | None) -> bytes:
    """The content of a frame, as JSON. ``readers`` is None where there is no registry. Raises Refused, or anything."""
    frame = frame_of(value, headers)
    if frame.is_json:
        return frame.payload
    if readers is None:
        raise _without_registry(value, frame.key)
    return readers[frame.key](frame.payload)


def _without_registry(value: bytes, key: SchemaKey) -> Refused:
    if (look := look_of(value)) is not None and look.name.startswith("UTF-"):  # whose first byte is 0, too
        return Refused(DeadLetterReason.MALFORMED_JSON, look_sentence(value, look))
    return Refused(
        DeadLetterReason.UNKNOWN_SCHEMA,
        f"its schema {key} cannot be looked up, since no registry is set; set MSGMETRICS_SCHEMA_REGISTRY_URL and send "
        "it back (dead-letters redrive), or publish JSON",
    )
