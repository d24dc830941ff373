"""Types of Protobuf that a field must not have, and messages in messages: refused by name, or converted."""

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FeatureSet, FieldDescriptorProto

from tests.support.protobuf_events import CONFLUENT, INTEGERS, event_file, one_field, set_to, written
from tests.support.registered import add_field, proto_class, proto_schema, read, refusal, varint

REPEATED = FieldDescriptorProto.LABEL_REPEATED


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("cost_cents", "float", 0.5),
        ("cost_cents", "bytes", b"1"),
        ("event_id", "bytes", b"1"),
        ("event_id", "float", 0.5),
        *(("occurred_at", kind, 7) for kind in INTEGERS),
        ("time", "int64", 7),
        ("data", "bytes", b"1"),
    ],
)
def test_a_scalar_that_a_field_must_not_have_is_refused_by_name(name: str, kind: str, value: Any) -> None:
    def fill(message: Any) -> None:
        setattr(message, name, value)

    sentence = refusal(*written(one_field(name, kind, cloud=True), fill))
    assert sentence.startswith(f"{name} must be ")
    assert f", not {kind}" in sentence
    assert sentence.endswith(": a number does not tell its unit") == (value == 7)


def test_an_enum_that_is_not_known_is_refused_by_name() -> None:
    file = one_field("error_code", ".google.type.DayOfWeek", type=FieldDescriptorProto.TYPE_ENUM)
    schema = proto_schema(file, CONFLUENT)
    assert refusal(schema, b"\0\x08\x01") == "error_code must be a string, not google.type.DayOfWeek"
    assert read(schema, b"\0\x08\0") == {}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("event_id", ".google.protobuf.Any"),
        ("event_id", ".google.protobuf.Struct"),
        ("event_id", ".google.protobuf.Timestamp"),
        ("org_id", ".confluent.type.Decimal"),
        ("occurred_at", ".google.type.Date"),
        ("occurred_at", ".google.protobuf.Int64Value"),
        ("cost_cents", ".google.protobuf.FloatValue"),
        ("cost_cents", ".google.protobuf.BytesValue"),
        ("error_code", ".acme.Other"),
    ],
)
def test_a_message_that_a_field_must_not_have_is_refused_by_name(name: str, kind: str) -> None:
    sentence = refusal(*written(one_field(name, kind), lambda message: getattr(message, name).SetInParent()))
    assert sentence.startswith(f"{name} must be ")
    assert f", not {kind[1:]}" in sentence
    assert read(*written(one_field(name, kind), lambda message: message)) == {}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", ["a"]),
        ("int64", [1, 2]),
        ("double", [0.5]),
        ("enum", [1]),
        (".google.protobuf.Timestamp", [{"seconds": 1}]),
    ],
)
def test_a_repeated_field_is_refused_unless_it_is_empty(kind: str, value: list[Any]) -> None:
    file = one_field("error_code", kind, label=REPEATED)
    told = {"enum": "acme.Type"}.get(kind, kind.lstrip("."))
    schema, empty = written(file, lambda message: message)
    filled = proto_class(file, "acme.Event", CONFLUENT)(error_code=value).SerializeToString()
    assert refusal(schema, b"\0" + filled) == f"error_code must be a string, not repeated {told}"
    assert read(schema, empty) == {}


def test_a_group_is_refused() -> None:
    for syntax, more in (("proto2", {"type": FieldDescriptorProto.TYPE_GROUP}), ("editions", {})):
        file = one_field("error_code", ".acme.Other", syntax=syntax, **more)
        file.message_type[0].field[-1].options.features.message_encoding = FeatureSet.DELIMITED
        assert refusal(proto_schema(file, CONFLUENT), b"\0\x0b\x0c") == "error_code must be a string, not acme.Other"


def test_a_number_that_an_enum_does_not_name_is_refused() -> None:
    sentence = "type must be a value of its enum 'Type', which has no 7, not given"
    for syntax in ("proto2", "proto3"):
        schema = proto_schema(one_field("type", "enum", syntax=syntax), CONFLUENT)
        assert refusal(schema, b"\0\x08\x07") == sentence.removesuffix(", not given")


def test_numbers_that_json_does_not_have_are_refused() -> None:
    for number in (float("nan"), float("inf"), float("-inf")):
        sentence = refusal(*written(one_field("cost_cents", "double"), set_to("cost_cents", number)))
        assert sentence == f"cost_cents must be a finite number, not {number}"


@pytest.mark.parametrize("syntax", ["proto2", "proto3"])
def test_text_that_is_not_utf8_is_refused_with_its_field(syntax: str) -> None:
    schema = proto_schema(one_field("org_id", "string", syntax=syntax), CONFLUENT)
    assert refusal(schema, b"\0\x0a\x02\xff\xfe") == "org_id must be text in UTF-8"
    ignored = varint(99 << 3 | 2) + b"\x02\xff\xfe"
    assert read(schema, b"\0" + ignored) == {}, "a field that is not converted is not looked at"


@pytest.mark.parametrize(("presence", "expected"), [(FeatureSet.EXPLICIT, {"org_id": ""}), (FeatureSet.IMPLICIT, {})])
def test_an_edition_says_whether_a_default_is_told(presence: int, expected: Any) -> None:
    file = one_field("org_id", "string", syntax="editions")
    file.options.features.field_presence = presence
    assert read(proto_schema(file, CONFLUENT), b"\0\x0a\0") == expected
    file.options.features.field_presence = FeatureSet.EXPLICIT
    file.message_type[0].field[-1].options.features.field_presence = presence
    assert read(proto_schema(file, CONFLUENT), b"\0\x0a\0") == expected


def test_of_a_oneof_the_last_member_is_set_whatever_is_converted() -> None:
    file, message = event_file()
    message.oneof_decl.add(name="outcome")
    add_field(message, "error_code", "string", 1, oneof_index=0)
    add_field(message, "delivered", ".acme.Other", 2, oneof_index=0)
    add_field(message, "cost_cents", "string", 3, oneof_index=0)
    schema = proto_schema(file, CONFLUENT)
    assert read(schema, b"\0\x0a\0") == {"error_code": ""}, "a member of a oneof has presence"
    assert read(schema, b"\0\x0a\x01E\x1a\x011") == {"cost_cents": "1"}
    assert read(schema, b"\0\x0a\x01E\x12\0") == {}


def test_a_cloud_event_is_converted_with_its_data() -> None:
    file, message = event_file()
    for name in ("specversion", "id", "source", "type", "datacontenttype"):
        add_field(message, name, "string")
    add_field(message, "time", ".google.protobuf.Timestamp")
    add_field(message, "data", ".acme.Other")
    event = proto_class(file, "acme.Event", CONFLUENT)(
        specversion="1.0", id="e1", source="/x", type="message.sent", datacontenttype="application/protobuf"
    )
    event.time.seconds = 1777982400
    expected = {
        "specversion": "1.0",
        "id": "e1",
        "source": "/x",
        "type": "message.sent",
        "datacontenttype": "application/protobuf",
        "time": "2026-05-05T12:00:00.000Z",
    }
    schema = proto_schema(file, CONFLUENT)
    assert read(schema, b"\0" + event.SerializeToString()) == expected
    event.data.org_id = "o"
    assert read(schema, b"\0" + event.SerializeToString()) == expected | {"data": {"org_id": "o"}}


def test_the_data_of_a_cloud_event_has_no_data_itself() -> None:
    file, message = event_file()
    add_field(message, "specversion", "string", 1)
    add_field(message, "data", ".acme.Event", 2)
    add_field(message, "org_id", "string", 3)
    body = b"\x1a\x01a"
    for _ in range(3):
        body = b"\x12" + varint(len(body)) + body + b"\x1a\x01b"
    assert read(proto_schema(file, CONFLUENT), b"\0" + body) == {"data": {"org_id": "b"}, "org_id": "b"}
