"""Avro schemas: names are resolved, and what is refused gives a reader that says why."""

import json
import tracemalloc
from typing import Any

import pytest

from pipeline.registry.payloads.readers import reader_of
from pipeline.registry.schema import Schema, SchemaKind
from tests.support.registered import avro, avro_payload, avro_schema, field, read, refusal, text

CODE = {"type": "enum", "name": "Code", "namespace": "acme", "symbols": ["E1"]}


def nested(levels: int, wrap: Any) -> Any:
    spec: Any = "string"
    for level in range(levels):
        spec = wrap(level, spec)
    return spec


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (array := {"type": "array", "items": "null"}, "an array of null, which takes no bytes"),
        ({"type": "array", "items": avro(name="R")}, "an array of record 'R', which takes no bytes"),
        (
            {"type": "array", "items": avro(field("a", "null"), name="R")},
            "an array of record 'R', which takes no bytes",
        ),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "an array of fixed 'F'"),
        ({"type": "map", "values": array}, "an array of null"),
        (["null", array], "an array of null"),
        (avro(field("a", "null"), field("b", array), name="R"), "an array of null"),
        (avro(field("r", ["null", "R"]), name="R"), "the recursive type 'R'"),
        (avro(field("r", {"type": "array", "items": "R"}), name="R"), "the recursive type 'R'"),
        (avro(field("r", "R"), name="R"), "the recursive type 'R'"),
        (avro(field("s", avro(field("r", ["null", "R"]), name="S")), name="R"), "the recursive type 'R'"),
        (nested(70, lambda _, spec: {"type": "array", "items": spec}), "types nested more than 64 levels deep"),
        (nested(300, lambda _, spec: {"type": "array", "items": spec}), "types nested more than 64 levels deep"),
        (nested(90, lambda n, spec: avro(field("a", spec), name=f"R{n}")), "types nested more than 64 levels deep"),
        (nested(90, lambda _, spec: {"type": spec}), "types nested more than 64 levels deep"),
        ("Unknown", "the name 'Unknown', which neither it nor its references define"),
        (["null", ["null", "string"]], "a union directly in a union"),
        (["null", "string", "null"], "a union with two branches of one type"),
        (["string", {"type": "string", "logicalType": "uuid"}], "a union with two branches of one type"),
        ({"type": "enum", "name": "E"}, "the enum 'E' without a list of symbols"),
        ({"type": "enum", "name": "E", "symbols": [1]}, "the enum 'E' without a list of symbols"),
        ({"type": "enum", "symbols": ["A"]}, "a type 'enum' without a name"),
        ({"type": "fixed", "name": "F"}, "the fixed 'F' without a size"),
        ({"type": "fixed", "name": "F", "size": -1}, "the fixed 'F' without a size"),
        ({"type": "fixed", "name": "F", "size": True}, "the fixed 'F' without a size"),
        ({"type": "fixed", "name": "string", "size": 1}, "two types of the name 'string'"),
        ({"type": "record", "name": "R"}, "the record 'R' without a list of named fields"),
        ({"type": "record", "name": "R", "fields": [{"type": "int"}]}, "without a list of named fields"),
        ({"type": "record", "name": "R", "fields": [{"name": "a"}]}, "None' where a type is expected"),
        (avro(field("a", "int"), field("a", "int"), name="R"), "the record 'R' with two fields of one name"),
        (avro(name="Event"), "two types of the name 'Event'"),
        ({"type": "array"}, "'None' where a type is expected"),
        ({}, "'{}' where a type is expected"),
        (7, "'7' where a type is expected"),
        (None, "'None' where a type is expected"),
    ],
)
def test_a_schema_that_is_not_read_says_why(spec: Any, sentence: str) -> None:
    schema = avro_schema(avro(field("ignored", spec), name="Event"))
    assert sentence in refusal(schema, b"\0")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the Avro schema is not JSON"),
        ("{", "the Avro schema is not JSON"),
        ("string", "the Avro schema is not JSON"),
        ("[" * 100_000, "the Avro schema is not JSON"),
        ("[" * 100_000 + "]" * 100_000, "the Avro schema is not JSON"),
        ("\ud800", "the Avro schema is not JSON"),
        ('"' + "x" * (1 << 20) + '"', "the schema has more than 1048576 characters"),
        ('{"type": "fixed", "name": "F", "size": 1' + "0" * 5000 + "}", "the"),
    ],
)
def test_a_text_that_is_no_schema_gives_a_reader_that_refuses(text: str, sentence: str) -> None:
    assert refusal(Schema(SchemaKind.AVRO, text), b"\0").startswith(sentence)


def test_what_a_library_marks_as_parsed_is_not_believed() -> None:
    """fastavro takes over what has this mark as it is."""
    spec = avro(field("org_id", "Unknown"), name="R") | {"__fastavro_parsed": True, "__named_schemas": {}}
    assert "the name 'Unknown'" in refusal(avro_schema(spec), b"\2o")


def test_references_define_names_for_the_schema_and_for_each_other() -> None:
    detail = avro(field("code", "acme.Code"), name="acme.Detail")
    spec = avro(field("error_code", "acme.Code"), field("detail", "acme.Detail"), field("org_id", "string"))
    schema = avro_schema(spec, ("acme.Code", CODE), ("acme.Detail", detail))
    assert read(schema, b"\0\0" + text("o")) == {"error_code": "E1", "org_id": "o"}
    assert "the name 'acme.Code'" in refusal(avro_schema(spec, ("acme.Detail", detail), ("acme.Code", CODE)), b"")
    assert "two types of the name 'acme.Code'" in refusal(avro_schema(CODE, ("acme.Code", CODE)), b"")


def test_references_that_are_nested_in_each_other_are_bounded_too() -> None:
    references = [(f"R{n}", avro(field("a", f"R{n - 1}" if n else "string"), name=f"R{n}")) for n in range(70)]
    assert "nested more than 64 levels deep" in refusal(avro_schema(avro(field("a", "R69")), *references), b"")
    assert read(avro_schema(avro(field("a", "R50"), field("org_id", "string")), *references[:51]), text("x") * 2)


def test_a_name_is_sought_in_its_namespace_and_then_in_none() -> None:
    inner = {"type": "enum", "name": "Inner", "symbols": ["INNER"]}
    outer = {"type": "enum", "name": "Outer", "namespace": "", "symbols": ["OUTER"]}
    spec = {
        **avro(field("a", inner), field("error_code", "Inner"), field("b", outer), field("org_id", "Outer")),
        "namespace": "acme",
    }
    assert read(avro_schema(spec), b"\0\0\0\0") == {"error_code": "INNER", "org_id": "OUTER"}
    full = {**spec, "fields": [field("a", inner), field("error_code", "acme.Inner")]}
    assert read(avro_schema(full), b"\0\0") == {"error_code": "INNER"}


def test_two_schemas_with_the_same_names_do_not_mix() -> None:
    first, second = ({"type": "enum", "name": "E", "symbols": [symbol]} for symbol in ("A", "B"))
    schemas = [avro_schema(avro(field("error_code", spec))) for spec in (first, second)]
    assert [read(schema, b"\0") for schema in schemas] == [{"error_code": "A"}, {"error_code": "B"}]
    assert "the name 'E'" in refusal(avro_schema(avro(field("error_code", "E"))), b"\0")


def test_a_type_may_be_written_within_a_type() -> None:
    kind = {"type": {"type": {"type": "long", "logicalType": "timestamp-millis"}}}
    assert read(avro_schema(avro(field("occurred_at", kind))), b"\0") == {"occurred_at": "1970-01-01T00:00:00.000Z"}


def test_an_enum_and_a_union_may_have_more_choices_than_fit_into_a_byte() -> None:
    spec = avro(
        field("error_code", {"type": "enum", "name": "E", "symbols": [f"S{n}" for n in range(300)]}),
        field("org_id", [*({"type": "fixed", "name": f"F{n}", "size": 1} for n in range(70)), "string"]),
    )
    payload = avro_payload(spec, {"error_code": "S299", "org_id": "o"})
    assert read(avro_schema(spec), payload) == {"error_code": "S299", "org_id": "o"}


def test_a_schema_of_a_megabyte_is_read() -> None:
    spec = avro(*(field(f"ignored{n}", "long", doc="x" * 80) for n in range(7000)), field("org_id", "string"))
    assert len(json.dumps(spec)) > 900_000
    assert read(avro_schema(spec), bytes(7000) + text("o")) == {"org_id": "o"}


def test_a_schema_that_names_an_enum_again_and_again_takes_no_memory() -> None:
    """Not a text for each symbol wherever it is named: this one would take a gigabyte."""
    enum = {"type": "enum", "name": "E", "symbols": [f"S{number}" for number in range(10_000)]}
    names = ("event_id", "org_id", "channel", "error_code", "id", "source", "datacontenttype")
    spec: Any = avro(field("type", enum), *(field(name, "E") for name in names), name="R0")
    for level in range(1, 50):
        spec = avro(
            field("specversion", "string"), field("data", spec), *(field(n, "E") for n in names), name=f"R{level}"
        )
    schema = avro_schema(spec)
    reader_of(schema)
    tracemalloc.start()
    reader_of(schema)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20
