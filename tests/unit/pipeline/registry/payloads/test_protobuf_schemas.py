"""Protobuf schemas: messages are found by index and types by name, and what is refused says why."""

import base64
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from pipeline.registry.payloads.protobuf import MAX_READERS, Readers
from pipeline.registry.payloads.protobuf_schema import Types
from pipeline.registry.payloads.readers import reader_of
from pipeline.registry.payloads.refused import PayloadRefused
from pipeline.registry.schema import Schema, SchemaKind
from tests.support.registered import add_field, proto_file, proto_schema, proto_text, read, refusal, varint, zigzag

ENUM = FieldDescriptorProto.TYPE_ENUM
BODY = b"\x0a\x01x"


def one_string(message: Any, name: str) -> None:
    add_field(message, name, "string", 1)


def nested_file() -> FileDescriptorProto:
    """``Event``, ``Other`` with ``Other.Inner`` and ``Other.Second``, and ``Other.Second.Deep``."""
    file = proto_file()
    one_string(file.message_type.add(name="Event"), "event_id")
    other = file.message_type.add(name="Other")
    one_string(other, "org_id")
    one_string(other.nested_type.add(name="Inner"), "channel")
    second = other.nested_type.add(name="Second")
    one_string(second, "error_code")
    one_string(second.nested_type.add(name="Deep"), "type")
    return file


@pytest.mark.parametrize(
    ("indexes", "field"),
    [
        (b"\0", "event_id"),
        (zigzag(1) + zigzag(0), "event_id"),
        (zigzag(1) + zigzag(1), "org_id"),
        (zigzag(2) + zigzag(1) + zigzag(0), "channel"),
        (zigzag(2) + zigzag(1) + zigzag(1), "error_code"),
        (zigzag(3) + zigzag(1) + zigzag(1) + zigzag(0), "type"),
    ],
)
def test_a_payload_names_its_message_by_indexes(indexes: bytes, field: str) -> None:
    assert read(proto_schema(nested_file()), indexes + BODY) == {field: "x"}


@pytest.mark.parametrize(
    ("indexes", "sentence"),
    [
        (b"", "the payload ends before its schema does"),
        (zigzag(1), "the payload ends before its schema does"),
        (zigzag(2) + zigzag(1), "the payload ends before its schema does"),
        (b"\xff", "the payload ends before its schema does"),
        (b"\xff" * 11, "a number of more than 64 bits"),
        (zigzag(-1), "the payload names its message by -1 indexes"),
        (zigzag(2**40), "the payload names its message by 1099511627776 indexes"),
        (zigzag(1) + zigzag(2), "the payload names the message [2], which its schema does not have"),
        (zigzag(1) + zigzag(-1), "the payload names the message [-1], which its schema does not have"),
        (zigzag(2) + zigzag(0) + zigzag(0), "the payload names the message [0, 0], which its schema does not have"),
    ],
)
def test_indexes_that_name_no_message_are_refused(indexes: bytes, sentence: str) -> None:
    assert sentence in refusal(proto_schema(nested_file()), indexes)


def test_of_a_schema_with_many_messages_the_first_few_that_come_are_read() -> None:
    file = proto_file()
    for number in range(3 * MAX_READERS):
        one_string(file.message_type.add(name=f"M{number}"), "org_id")
    readers = Readers(Types.of(proto_schema(file)))
    for number in range(MAX_READERS):
        assert readers[(number,)](BODY) == b'{"org_id":"x"}'
    for number in range(MAX_READERS, 3 * MAX_READERS):
        with pytest.raises(PayloadRefused, match="of another message than the first 64 of its schema"):
            readers[(number,)]
    assert readers[(7,)](BODY) == b'{"org_id":"x"}'


def test_what_is_cut_short_or_no_message_is_refused() -> None:
    for body in (b"\x0a\x02x", b"\x0a", b"\x0b", b"\xff" * 12, b"\x0a" + varint(2**62)):
        assert refusal(proto_schema(nested_file()), b"\0" + body).startswith(
            "the payload is not the message 'acme.Event'"
        )


def test_unknown_fields_are_evolution() -> None:
    more = (
        varint(7 << 3)
        + b"\1"
        + varint(8 << 3 | 2)
        + b"\1z"
        + varint(9 << 3 | 1)
        + bytes(8)
        + varint(10 << 3 | 5)
        + bytes(4)
    )
    assert read(proto_schema(nested_file()), b"\0" + more + BODY) == {"event_id": "x"}


def event_with(*fields: tuple[str, str], **more: Any) -> FileDescriptorProto:
    file = proto_file(**more)
    message = file.message_type.add(name="Event")
    for name, kind in fields:
        add_field(message, name, kind)
    return file


def types_file() -> FileDescriptorProto:
    file = proto_file(path="acme/common/types.proto", package="acme.common")
    enum = file.enum_type.add(name="Channel")
    enum.value.add(name="UNKNOWN", number=0)
    enum.value.add(name="SMS", number=1)
    return file


@pytest.mark.parametrize("name", [".acme.common.Channel", "acme.common.Channel", "common.Channel"])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_type_of_another_file_is_found_by_the_rules_of_the_language(name: str, is_told: bool) -> None:
    """Registries give names as they were written, and then do not tell messages from enums."""
    file = event_with(("channel", name))
    file.dependency.append("acme/common/types.proto")
    file.message_type[0].field[0].type = ENUM
    if not is_told:
        file.message_type[0].field[0].ClearField("type")
    assert read(proto_schema(file, types_file()), b"\0\x08\x01") == {"channel": "sms"}


def test_the_innermost_of_two_types_of_one_name_is_meant() -> None:
    file = event_with(("channel", "Channel"))
    outer = file.enum_type.add(name="Channel")
    outer.value.add(name="OUTER", number=1)
    file.message_type[0].enum_type.add(name="Channel").value.add(name="INNER", number=1)
    file.message_type[0].field[0].type = ENUM
    assert read(proto_schema(file), b"\0\x08\x01") == {"channel": "inner"}


def test_of_two_names_of_one_number_the_first_is_meant() -> None:
    file = event_with(("channel", "Channel"))
    enum = file.enum_type.add(name="Channel")
    enum.options.allow_alias = True
    for name in ("SMS", "TEXT"):
        enum.value.add(name=name, number=1)
    file.message_type[0].field[0].type = ENUM
    assert read(proto_schema(file), b"\0\x08\x01") == {"channel": "sms"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("google/protobuf/timestamp.proto", ".google.protobuf.Timestamp"),
        ("google/protobuf/timestamp.proto", "google.protobuf.Timestamp"),
        ("google/type/money.proto", ".google.type.Money"),
        ("confluent/meta.proto", ".confluent.Meta"),
    ],
)
def test_a_file_that_every_client_knows_need_not_be_given(path: str, kind: str) -> None:
    file = event_with(("org_id", "string"), ("ignored", kind))
    file.dependency.append(path)
    given = proto_file(path=path, package="google.protobuf" if "timestamp" in path else "google.type")
    given.message_type.add(name="Timestamp")
    assert read(proto_schema(file), b"\0" + BODY) == {"org_id": "x"}
    assert read(proto_schema(file, given), b"\0" + BODY) == {"org_id": "x"}


def test_two_schemas_with_the_same_names_do_not_mix() -> None:
    readers = [reader_of(proto_schema(event_with((name, "string")))) for name in ("org_id", "event_id")]
    assert [reader(b"\0" + BODY) for reader in readers] == [b'{"org_id":"x"}', b'{"event_id":"x"}']


def broken(change: Any) -> Schema:
    file = event_with(("org_id", "string"), ("error_code", "string"))
    change(file, file.message_type[0])
    return proto_schema(file)


def same_number(_file: Any, message: Any) -> None:
    message.field[1].number = 1


def same_name(_file: Any, message: Any) -> None:
    message.field[1].name = "org_id"


def no_number(_file: Any, message: Any) -> None:
    message.field[1].ClearField("number")


def no_type(_file: Any, message: Any) -> None:
    message.field[1].ClearField("type")


def no_such_type(_file: Any, message: Any) -> None:
    message.field[1].type_name = "Missing"


def no_such_oneof(_file: Any, message: Any) -> None:
    message.field[1].oneof_index = 7


def no_such_import(file: Any, _message: Any) -> None:
    file.dependency.append("acme/missing.proto")


def two_messages(file: Any, _message: Any) -> None:
    file.message_type.add(name="Event")


def no_message(file: Any, _message: Any) -> None:
    file.ClearField("message_type")


def long_name(file: Any, _message: Any) -> None:
    file.package = "a." * 100_000 + "a"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (same_number, "the Protobuf schema is not valid: "),
        (same_name, "the Protobuf message 'acme.Event' has two fields of one name"),
        (no_number, "the Protobuf schema is not valid: "),
        (no_type, "the Protobuf schema has the field 'error_code' without a type"),
        (no_such_type, "the Protobuf schema names 'Missing', which neither it nor its references define"),
        (no_such_import, "the Protobuf schema imports 'acme/missing.proto', which its references do not have"),
        (two_messages, "the Protobuf schema and its references have two types of the name 'acme.Event'"),
        (no_message, "the payload names the message [0], which its schema does not have"),
        (long_name, "the Protobuf schema has a name that is too long or too deep, 'a.a.a."),
    ],
)
def test_a_schema_that_is_not_valid_says_why(change: Any, sentence: str) -> None:
    assert refusal(broken(change), b"\0" + BODY).startswith(sentence)


def test_a_oneof_that_is_none_does_no_harm() -> None:
    assert read(broken(no_such_oneof), b"\0" + BODY) == {"org_id": "x"}


def test_a_broken_message_does_not_keep_another_from_being_read() -> None:
    file = event_with(("org_id", "Missing"))
    one_string(file.message_type.add(name="Good"), "org_id")
    assert read(proto_schema(file), zigzag(1) + zigzag(1) + BODY) == {"org_id": "x"}
    assert "names 'Missing'" in refusal(proto_schema(file), b"\0" + BODY)


@pytest.mark.parametrize(
    "text", ["", "!", "é", 'syntax = "proto3"; message A {}', "\ud800", base64.b64encode(b"\xff" * 9).decode()]
)
def test_a_text_that_is_no_schema_gives_a_reader_that_refuses(text: str) -> None:
    assert refusal(Schema(SchemaKind.PROTOBUF, text), b"\0")
    file = event_with(("org_id", "string"))
    assert refusal(Schema(SchemaKind.PROTOBUF, proto_text(file), (("x.proto", text or "!"),)), b"\0")


def test_a_giant_schema_is_refused() -> None:
    giant = Schema(SchemaKind.PROTOBUF, "A" * ((1 << 20) + 4))
    assert refusal(giant, b"\0") == "the schema has more than 1048576 characters"


def test_a_chain_of_messages_is_followed_for_one_step() -> None:
    file = proto_file()
    for number in range(5000):
        message = file.message_type.add(name=f"M{number}")
        add_field(message, "specversion", "string")
        add_field(message, "data", f"M{number + 1}" if number < 4999 else "string")
    assert read(proto_schema(file), b"\0\x0a\x01x\x12\x03\x0a\x01y") == {"specversion": "x", "data": {}}


def test_a_megabyte_of_messages_that_are_not_converted_takes_no_objects() -> None:
    """Half a million messages of a thousand fields each would take gigabytes."""
    file = event_with(("org_id", "string"), ("ignored", ".acme.Wide"))
    file.message_type[0].field[1].label = FieldDescriptorProto.LABEL_REPEATED
    wide = file.message_type.add(name="Wide")
    for number in range(1000):
        add_field(wide, f"f{number}", "int64")
    assert read(proto_schema(file), b"\0" + BODY + b"\x12\0" * 500_000) == {"org_id": "x"}
