"""The client against a registry on loopback: schemas and what they refer to."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.registry.client import MOST_LEVELS, MOST_REFERENCES, Client
from pipeline.registry.errors import NotThere, Refuses, Unusable
from pipeline.registry.schema import Schema, SchemaKind
from schemas.registry_access import Access
from tests.support.schema_registry import TYPES, UNKNOWN, FakeRegistry, Scripted

GUID = "0f4e5d6c-1a2b-4c3d-8e9f-a0b1c2d3e4f5"
PLAIN_404 = Scripted(b"<html>404</html>", 404, {"Content-Type": "text/html"})


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def client(registry: FakeRegistry) -> Client:
    return Client(Access(registry.url))


def refers(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "subject": f"{name}-value", "version": 1} for name in names]


def versions(name: str) -> str:
    return f"/subjects/{name}-value/versions/1"


def test_a_schema_without_a_kind_is_avro(registry: FakeRegistry, client: Client) -> None:
    registry.answers["/schemas/ids/7"] = {"schema": '"string"', "unknown": [1, {}]}
    assert client.fetch(7) == Schema(SchemaKind.AVRO, '"string"')
    assert registry.asked == ["/schemas/ids/7"]
    assert registry.headers[0]["Accept"] == "application/vnd.schemaregistry.v1+json, application/json"
    assert "Authorization" not in registry.headers[0]


def test_a_schema_is_found_by_its_guid(registry: FakeRegistry, client: Client) -> None:
    registry.answers[f"/schemas/guids/{GUID}"] = {"schema": "{}", "schemaType": "JSON", "references": None}
    assert client.fetch(GUID) == Schema(SchemaKind.JSON, "{}")


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_url_may_have_a_path(registry: FakeRegistry, slash: str) -> None:
    registry.answers["/apis/ccompat/v7/schemas/ids/7"] = {"schema": "7"}
    client = Client(Access(f"{registry.url}/apis/ccompat/v7{slash}"))
    assert client.fetch(7).text == "7"


def test_the_text_of_protobuf_is_asked_for_again_as_a_descriptor(registry: FakeRegistry, client: Client) -> None:
    main, other = (base64.b64encode(text).decode() for text in (b"main", b"other"))
    source = {"schema": 'syntax = "proto3";', "schemaType": "PROTOBUF", "references": refers("other.proto")}
    registry.answers["/schemas/ids/7"] = source
    registry.answers["/schemas/ids/7?format=serialized"] = {**source, "schema": main}
    registry.answers[versions("other.proto") + "?deleted=true"] = {"schema": 'syntax = "proto3";'}
    registry.answers[versions("other.proto") + "?deleted=true&format=serialized"] = {"schema": other}
    assert client.fetch(7) == Schema(SchemaKind.PROTOBUF, main, (("other.proto", other),))


def test_a_descriptor_that_was_registered_as_such_is_not_asked_for_again(
    registry: FakeRegistry, client: Client
) -> None:
    """Apicurio answers 500 to that."""
    main, other = (base64.b64encode(text).decode() for text in (b"main", b"other"))
    registry.answers["/schemas/ids/7"] = {"schema": main, "schemaType": "PROTOBUF", "references": refers("other.proto")}
    registry.answers[versions("other.proto") + "?deleted=true"] = {"schema": other}
    assert client.fetch(7) == Schema(SchemaKind.PROTOBUF, main, (("other.proto", other),))
    assert not [path for path in registry.asked if "serialized" in path]


def test_a_registry_that_knows_no_descriptors_makes_protobuf_unusable(registry: FakeRegistry, client: Client) -> None:
    registry.answers["/schemas/ids/7"] = {"schema": 'syntax = "proto3";', "schemaType": "PROTOBUF"}
    with pytest.raises(Unusable, match=r"schema 7 is of Protobuf.*format=serialized; use a registry"):
        client.fetch(7)


def test_references_come_before_what_refers_to_them_and_once(registry: FakeRegistry, client: Client) -> None:
    registry.answers["/schemas/ids/7"] = {"schema": "7", "references": refers("left", "right")}
    for name, its in {"left": ["base"], "right": ["base"], "base": []}.items():
        registry.answers[versions(name)] = {"schema": name.upper(), "references": refers(*its)}
    assert client.fetch(7).references == (("base", "BASE"), ("left", "LEFT"), ("right", "RIGHT"))
    assert registry.asked == [
        "/schemas/ids/7",
        *(versions(name) + "?deleted=true" for name in ("left", "base", "right")),
    ]


def test_of_two_references_with_one_name_the_first_counts(registry: FakeRegistry, client: Client) -> None:
    twice = [{"name": "it", "subject": "s", "version": version} for version in (1, 2)]
    registry.answers["/schemas/ids/7"] = {"schema": "7", "references": twice}
    registry.answers["/subjects/s/versions/1"] = {"schema": "first"}
    assert client.fetch(7).references == (("it", "first"),)


def test_subjects_are_quoted_with_their_slashes(registry: FakeRegistry, client: Client) -> None:
    reference = {"name": "a", "subject": "google/type ü?.proto", "version": 3}
    registry.answers["/schemas/ids/7"] = {"schema": "7", "references": [reference]}
    registry.answers["/subjects/google%2Ftype%20%C3%BC%3F.proto/versions/3"] = {"schema": "A"}
    assert client.fetch(7).references == (("a", "A"),)


@pytest.mark.parametrize("back", ["left", "right"])
def test_circles_of_references_are_refused(registry: FakeRegistry, client: Client, back: str) -> None:
    registry.answers["/schemas/ids/7"] = {"schema": "7", "references": refers("left")}
    registry.answers[versions("left")] = {"schema": "L", "references": refers("right")}
    registry.answers[versions("right")] = {"schema": "R", "references": refers(back)}
    with pytest.raises(Unusable, match="schema 7 refers to itself in a circle"):
        client.fetch(7)
    assert len(registry.asked) == 3


def test_circles_under_ever_new_names_are_too_deep(registry: FakeRegistry, client: Client) -> None:
    registry.answers["/schemas/ids/7"] = {"schema": "7", "references": refers("0")}
    for n in range(MOST_LEVELS + 1):
        registry.answers[versions(str(n))] = {"schema": "N", "references": refers(str(n + 1))}
    with pytest.raises(Unusable, match=f"through more than {MOST_LEVELS}"):
        client.fetch(7)
    assert len(registry.asked) == 1 + MOST_LEVELS


def test_too_many_references_are_refused(registry: FakeRegistry, client: Client) -> None:
    names = [str(n) for n in range(MOST_REFERENCES + 1)]
    registry.answers["/schemas/ids/7"] = {"schema": "7", "references": refers(*names)}
    registry.answers.update({versions(name): {"schema": name} for name in names})
    with pytest.raises(Unusable, match=f"refers to more than {MOST_REFERENCES} others"):
        client.fetch(7)
    assert len(registry.asked) == 1 + MOST_REFERENCES
    registry.answers["/schemas/ids/7"] = {"schema": "7", "references": refers(*names[1:])}
    assert len(client.fetch(7).references) == MOST_REFERENCES


def test_an_unknown_kind_is_unusable(registry: FakeRegistry, client: Client) -> None:
    registry.answers["/schemas/ids/7"] = {"schema": "7", "schemaType": "XML\n"}
    with pytest.raises(Unusable, match=r"schema 7 is of the kind 'XML\\n'; register one of AVRO, PROTOBUF, JSON"):
        client.fetch(7)


@pytest.mark.parametrize("code", [40401, 40402, 40403])
def test_a_registry_that_has_no_schema_says_so(registry: FakeRegistry, client: Client, code: int) -> None:
    registry.answers["/schemas/ids/7"] = Scripted({"error_code": code, "message": "no"}, 404)
    with pytest.raises(NotThere, match=f"{registry.url} has no schema 7 .404.; register it"):
        client.fetch(7)
    assert registry.asked == ["/schemas/ids/7"]


def test_a_reference_that_is_not_there_is_named(registry: FakeRegistry, client: Client) -> None:
    registry.answers["/schemas/ids/7"] = {"schema": "7", "references": refers("gone")}
    with pytest.raises(NotThere, match=r"has no 'gone' \(a reference of schema 7\)"):
        client.fetch(7)


def test_a_bare_404_counts_only_beside_a_registry(registry: FakeRegistry, client: Client) -> None:
    registry.answers["/schemas/ids/7"] = PLAIN_404
    with pytest.raises(NotThere):
        client.fetch(7)
    assert registry.asked == ["/schemas/ids/7", TYPES]
    registry.answers[TYPES] = PLAIN_404
    with pytest.raises(Refuses, match=r"answers 404 .*; check MSGMETRICS_SCHEMA_REGISTRY_URL, with its path"):
        client.fetch(7)


@pytest.mark.parametrize("status", [400, 422, 501])
def test_an_error_about_one_schema_is_told_from_one_about_all(
    registry: FakeRegistry, client: Client, status: int
) -> None:
    registry.answers["/schemas/ids/7"] = Scripted({"error_code": status, "message": "not this"}, status)
    with pytest.raises(Unusable, match=f"answers {status} for schema 7: 'not this'"):
        client.fetch(7)
    registry.answers[TYPES] = registry.answers["/schemas/ids/7"]
    with pytest.raises(Refuses, match=f"is none: it answers {status}"):
        client.fetch(7)


def test_a_check_tells_a_registry_from_something_else(registry: FakeRegistry, client: Client) -> None:
    client.check()
    registry.answers[TYPES] = {"hello": "world"}
    with pytest.raises(Refuses, match="is no schema registry's"):
        client.check()
    registry.answers[TYPES] = UNKNOWN
    with pytest.raises(Refuses, match="answers 404"):
        client.check()
