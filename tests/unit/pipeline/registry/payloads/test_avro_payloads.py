"""Avro's bytes: what is skipped is skipped to the byte, and hostile bytes are refused, soon and in a sentence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.registered import avro, avro_payload, avro_schema, field, read, refusal, text, zigzag

ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}


def alone(kind: Any, name: str = "error_code") -> Any:
    return avro_schema(avro(field(name, kind)))


@pytest.mark.parametrize("name", ["error_code", "ignored"])
@pytest.mark.parametrize(
    ("kind", "payload", "sentence"),
    [
        ("string", zigzag(-1) + b"abc", "the payload has a length of -1"),
        ("string", zigzag(-64) + b"abc", "the payload has a length of -64"),
        ("string", zigzag(-(2**63)) + b"abc", "the payload has a length of -9223372036854775808"),
        ("string", zigzag(4) + b"abc", "the payload ends before its schema does"),
        ("string", zigzag(2**40) + b"abc", "the payload ends before its schema does"),
        ("string", zigzag(2**63 - 1) + b"abc", "the payload ends before its schema does"),
        ("string", b"", "the payload ends before its schema does"),
        ("string", b"\xff", "the payload ends before its schema does"),
        ("double", b"\0" * 7, "the payload ends before its schema does"),
        ("long", b"\xff" * 9, "the payload ends before its schema does"),
        ("long", b"\xff" * 9 + b"\x02", "a number of more than 64 bits"),
        ("long", b"\xff" * 1000, "a number of more than 64 bits"),
        ("long", b"\x80" * 10 + b"\0", "a number of more than 64 bits"),
        ("int", zigzag(2**31), "the payload has 2147483648 where its schema has an int of 32 bits"),
        ("int", zigzag(-(2**31) - 1), "the payload has -2147483649 where"),
        ("boolean", b"\2", "the payload has the byte 2 where its schema has a boolean, of 0 or 1"),
        (ENUM, zigzag(2), "the payload has the index 2 where its schema has 2 choices"),
        (ENUM, zigzag(-1), "the payload has the index -1 where its schema has 2 choices"),
        (["null", "string"], zigzag(-1) + text("a"), "the payload has the index -1 where its schema has 2 choices"),
        (["null", "string"], zigzag(2), "the payload has the index 2 where its schema has 2 choices"),
        ([], zigzag(0), "the payload has the index 0 where its schema has 0 choices"),
        ("string", text("a") + b"\0", "the payload has 1 bytes more than its schema describes"),
        ("null", b"\0\0", "the payload has 2 bytes more than its schema describes"),
    ],
)
def test_bytes_that_no_writer_writes_are_refused(name: str, kind: Any, payload: bytes, sentence: str) -> None:
    assert sentence in refusal(alone(kind, name), payload)


@pytest.mark.parametrize(
    ("kind", "payload", "sentence"),
    [
        ("fixed", b"abc", "the payload ends before its schema does"),
        ("array", zigzag(3) + text("a"), "the payload ends before its schema does"),
        ("array", zigzag(2**62) + text("a") * 100, "the payload ends before its schema does"),
        ("array", zigzag(-(2**63)) + zigzag(2) + text("a") * 100, "the payload ends before its schema does"),
        ("array", zigzag(-1) + zigzag(7) + text("a") + b"\0", "a block of 2 bytes that says it has 7"),
        ("array", zigzag(-1) + zigzag(-2) + text("a") + b"\0", "a block of 2 bytes that says it has -2"),
        ("map", zigzag(1) + text("key"), "the payload ends before its schema does"),
        ("map", zigzag(1) + zigzag(-1) + text("a") + b"\0", "the payload has a length of -1"),
    ],
)
def test_blocks_that_no_writer_writes_are_refused(kind: str, payload: bytes, sentence: str) -> None:
    spec = {"fixed": {"type": "fixed", "name": "F", "size": 2**62}, "array": array("string"), "map": mapping("string")}
    assert sentence in refusal(alone(spec[kind], "ignored"), payload)


def array(items: Any) -> Any:
    return {"type": "array", "items": items}


def mapping(values: Any) -> Any:
    return {"type": "map", "values": values}


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (array("string"), b"\0"),
        (array("string"), zigzag(2) + text("a") * 2 + zigzag(1) + text("b") + b"\0"),
        (array("string"), zigzag(-2) + zigzag(4) + text("a") * 2 + b"\0"),
        (array(["null", "long"]), zigzag(2) + b"\0\2\2\0"),
        (mapping("null"), zigzag(2) + text("a") * 2 + b"\0"),
        (mapping(array("double")), zigzag(1) + text("a") + zigzag(1) + bytes(8) + b"\0\0"),
        ("string", b"\4\xff\xfe"),
        ("float", b"\0\0\xc0\x7f"),
        ("bytes", b"\4\0\0"),
        (array(avro(field("a", "null"), field("b", "boolean"), name="R")), zigzag(2) + b"\0\1\0"),
    ],
)
def test_a_field_that_is_not_converted_is_skipped_whatever_it_is(kind: Any, payload: bytes) -> None:
    schema = avro_schema(avro(field("ignored", kind), field("org_id", "string")))
    assert read(schema, payload + text("o")) == {"org_id": "o"}


def kinds(names: Any) -> st.SearchStrategy[Any]:
    """Types with a value of each, as fastavro writes it."""
    scalars = st.sampled_from(
        [
            ("null", None),
            ("boolean", True),
            ("int", -70_000),
            ("long", 2**60),
            ("float", 0.5),
            ("double", 0.1),
            ("string", "text " * 20),
            ("bytes", b"\xff\0"),
        ]
    )
    named = st.sampled_from(["enum", "fixed"]).map(lambda kind: _named(kind, next(names)))
    return st.recursive(scalars | named, lambda inner: _nested(inner, names), max_leaves=8)


def _named(kind: str, number: int) -> Any:
    if kind == "enum":
        return {"type": "enum", "name": f"E{number}", "symbols": [f"S{n}" for n in range(70)]}, "S69"
    return {"type": "fixed", "name": f"F{number}", "size": 3}, b"abc"


def _nested(inner: Any, names: Any) -> Any:
    def record(members: list[Any]) -> Any:
        fields = [field(f"f{n}", kind) for n, (kind, _) in enumerate(members)]
        return avro(*fields, name=f"R{next(names)}"), {f"f{n}": value for n, (_, value) in enumerate(members)}

    filled = inner.filter(lambda member: member[1] not in (None, {}) and not _is_empty(member[0]))
    return (
        st.lists(inner, max_size=3).map(record)
        | st.tuples(filled, st.integers(0, 3)).map(lambda pair: (array(pair[0][0]), [pair[0][1]] * pair[1]))
        | inner.map(lambda member: (mapping(member[0]), {"k": member[1], "l": member[1]}))
        | filled.filter(lambda member: not isinstance(member[0], list)).map(lambda m: (["null", m[0]], m[1]))
    )


def _is_empty(kind: Any) -> bool:
    if isinstance(kind, dict) and kind["type"] == "record":
        return all(_is_empty(member["type"]) for member in kind["fields"])
    return bool(kind == "null")


@given(st.data())
def test_whatever_fastavro_writes_between_two_fields_is_skipped_to_the_byte(data: st.DataObject) -> None:
    members = data.draw(st.lists(kinds(iter(range(10**6))), min_size=1, max_size=3))
    fields = [field(f"ignored{n}", kind) for n, (kind, _) in enumerate(members)]
    spec = avro(field("org_id", "string"), *fields, field("event_id", "string"))
    record = {f"ignored{n}": value for n, (_, value) in enumerate(members)}
    payload = avro_payload(spec, record | {"org_id": "acme", "event_id": "e1"})
    assert read(avro_schema(spec), payload) == {"org_id": "acme", "event_id": "e1"}


def test_a_megabyte_of_the_smallest_items_is_skipped() -> None:
    deep: Any = "boolean"
    for level in range(50):
        deep = avro(field("only", deep), name=f"R{level}")
    schema = avro_schema(avro(field("ignored", array(deep)), field("org_id", "string")))
    assert read(schema, zigzag(10**6) + bytes(10**6) + b"\0" + text("o")) == {"org_id": "o"}


def test_few_names_that_stand_for_billions_of_nulls_cost_nothing() -> None:
    """Each record has the one before it twice: 2**50 nulls in a payload of no byte."""
    fields, last = [], "null"
    for level in range(50):
        record = avro(field("a", last), field("b", last), name=f"R{level}")
        fields.append(field(f"ignored{level}", record))
        last = f"R{level}"
    assert read(avro_schema(avro(*fields, field("org_id", "string"))), text("o")) == {"org_id": "o"}
