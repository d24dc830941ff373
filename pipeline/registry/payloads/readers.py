"""The reader of a schema, whatever its kind. Protobuf is an extra, so it is imported when a schema asks for it."""

from pipeline.core.envelope.frames import Reader
from pipeline.core.exact import FieldError
from pipeline.registry.payloads.avro import avro_reader
from pipeline.registry.payloads.refused import PayloadRefused, refusing
from pipeline.registry.schema import Schema, SchemaKind


def reader_of(schema: Schema) -> Reader:
    """A reader for payloads of the schema. Never raises: by a schema that is refused it refuses every payload.

    A payload begins behind the frame's id; that of Protobuf with the indexes of its message. The reader returns the
    bytes of a JSON object, or of a string where the Avro schema is one; those of the kind JSON are not looked at.
    One thread at a time may call it, another one than that which built it.
    """
    try:
        return _guarded(_reader_of(schema))
    except PayloadRefused as refusal:
        return refusing(str(refusal))
    except Exception as error:
        return refusing(f"the {schema.kind} schema cannot be read: {type(error).__name__}")


def _reader_of(schema: Schema) -> Reader:
    match schema.kind:
        case SchemaKind.JSON:
            return _unchanged
        case SchemaKind.AVRO:
            return avro_reader(schema)
        case SchemaKind.PROTOBUF:
            from pipeline.registry.payloads.protobuf import protobuf_reader

            return protobuf_reader(schema)


def _unchanged(payload: bytes) -> bytes:
    return payload


def _guarded(read: Reader) -> Reader:
    """A reader whose every failure is a refusal: what a payload does to it must not stop the worker."""

    def read_guarded(payload: bytes) -> bytes:
        try:
            return read(payload)
        except (FieldError, PayloadRefused):
            raise
        except Exception as error:
            raise PayloadRefused(f"the payload cannot be read by its schema: {type(error).__name__}") from None

    return read_guarded
