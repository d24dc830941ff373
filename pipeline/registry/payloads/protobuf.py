"""A reader for Protobuf: a payload names its message by indexes, in the file that its producer registered."""

from typing import Final

import msgspec

from pipeline.core.envelope.frames import Reader
from pipeline.registry.payloads.binary import CUT, read_long
from pipeline.registry.payloads.protobuf_schema import Message, Types
from pipeline.registry.payloads.protobuf_shape import reader_of_message
from pipeline.registry.payloads.refused import MAX_DEPTH, PayloadRefused, refusing
from pipeline.registry.schema import Schema

FIRST: Final = (0,)
MAX_READERS: Final = 64
"""Messages of one schema that are read: each reader is made where a batch is decoded, and takes its time."""


def protobuf_reader(schema: Schema) -> Reader:
    """A reader for payloads of the schema. Raises PayloadRefused for a schema that is not read."""
    readers = Readers(Types.of(schema))
    readers[FIRST]  # made here, where nobody waits for it

    def read(payload: bytes) -> bytes:
        if payload.startswith(b"\0"):
            return readers[FIRST](payload[1:])
        path, at = _indexes(payload)
        return readers[path](payload[at:])

    return read


class Readers(dict[tuple[int, ...], Reader]):
    """The readers of a schema's messages by their indexes, made when one is asked for."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def __missing__(self, path: tuple[int, ...]) -> Reader:
        message = self._types.at(path)
        if len(self) >= MAX_READERS:
            raise PayloadRefused(f"the payload is of another message than the first {MAX_READERS} of its schema")
        try:
            reader = _message_reader(self._types, message)
        except PayloadRefused as refusal:
            reader = refusing(str(refusal))
        except Exception as error:
            reader = refusing(f"the Protobuf schema cannot be read: {type(error).__name__}")
        self[path] = reader
        return reader


def _message_reader(types: Types, message: Message) -> Reader:
    object_of, encode = reader_of_message(types, message), msgspec.json.Encoder().encode
    return lambda body: encode(object_of(body))


def _indexes(payload: bytes) -> tuple[tuple[int, ...], int]:
    """The indexes of the payload's message, outermost first, and the position behind them."""
    try:
        count, at = read_long(payload, 0)
        if not 0 <= count <= MAX_DEPTH:
            raise PayloadRefused(f"the payload names its message by {count} indexes")
        path = []
        for _ in range(count):
            index, at = read_long(payload, at)
            path.append(index)
    except IndexError:
        raise PayloadRefused(CUT) from None
    return tuple(path), at
