"""The AsyncAPI document describes what the decoder reads: its examples are events, and its names the decoder's."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest

from deploy.cli.letters import REDRIVEN_HEADER
from pipeline.core.envelope import cloudevents, frames
from pipeline.core.event import Event, decode_event
from pipeline.core.opening import NoEvent, decode_record
from schemas import asyncapi
from schemas.publish import DOCUMENTS, EXAMPLE
from tests.support.envelopes import KINDS

DOCUMENT = DOCUMENTS["asyncapi.json"]()
MESSAGES: Mapping[str, Any] = DOCUMENT["components"]["messages"]
EXAMPLES = {name: message["examples"][0] for name, message in MESSAGES.items() if "examples" in message}
LINE = json.dumps(EXAMPLE).encode()
OF_KIND = {
    "plain": "messageEvent",
    "cloudevents": "cloudEvent",
    "cloudevents, data as text": "cloudEvent",
    "cloudevents, data as base64": "cloudEvent",
    "cloudevents-binary": "cloudEventBinary",
    "connect": "connectRecord",
    "string": "jsonString",
}


def validator(schema: Mapping[str, Any]) -> Any:
    """Validates by a schema of the document, to whose other parts it may refer."""
    return jsonschema.Draft202012Validator({**DOCUMENT, **schema}, format_checker=jsonschema.FormatChecker())


def payload_schema(name: str) -> Any:
    return MESSAGES[name]["payload"]["schema"]


def decoded(name: str) -> Event:
    example = EXAMPLES[name]
    headers = [(header, text.encode()) for header, text in example.get("headers", {}).items()]
    return decode_record(json.dumps(example["payload"]).encode(), headers, None)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_what_it_says_and_an_event(name: str) -> None:
    validator(payload_schema(name)).validate(EXAMPLES[name]["payload"])
    validator(MESSAGES[name].get("headers", {})).validate(EXAMPLES[name].get("headers", {}))
    event, micros, occurred_ms = decoded(name)
    expected, *rest = decode_event(LINE)
    assert [micros, occurred_ms] == rest
    assert (event.org_id, event.type, event.channel) == (expected.org_id, expected.type, expected.channel)
    assert event.event_id in (EXAMPLE["event_id"], "/messaging 5f3c1a2e")


def test_every_kind_of_record_that_is_read_is_described() -> None:
    assert OF_KIND.keys() | {"confluent-json"} == KINDS.keys()
    assert {*OF_KIND.values(), "registryFrame"} == MESSAGES.keys()


@pytest.mark.parametrize("kind", OF_KIND)
def test_a_record_of_any_kind_is_as_the_document_has_it(kind: str) -> None:
    sent = KINDS[kind](LINE)
    headers = {name: (content or b"").decode() for name, content in sent.headers}
    validator(payload_schema(OF_KIND[kind])).validate(json.loads(sent.value))
    validator(MESSAGES[OF_KIND[kind]].get("headers", {})).validate(headers)


@pytest.mark.parametrize("missing", ["specversion", "data"])
def test_a_cloud_event_without_what_it_needs_is_refused_by_both(missing: str) -> None:
    document = {name: value for name, value in EXAMPLES["cloudEvent"]["payload"].items() if name != missing}
    assert not validator(payload_schema("cloudEvent")).is_valid(document)
    headers = [("content-type", asyncapi.CLOUD_EVENT_JSON.encode())]
    with pytest.raises(NoEvent):
        decode_record(json.dumps(document).encode(), headers, None)


def test_names_are_those_of_the_decoder() -> None:
    assert asyncapi.REDRIVEN.encode() == REDRIVEN_HEADER
    assert asyncapi.SCHEMA_ID.encode() == frames.ID_HEADER
    assert asyncapi.CLOUD_EVENT_JSON == cloudevents.STRUCTURED
    assert cloudevents.VERSION_HEADER.decode() in MESSAGES["cloudEventBinary"]["headers"]["required"]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_reference_leads_to_a_part_of_the_document() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > len(MESSAGES)
    for reference in found:
        part = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
        assert part
