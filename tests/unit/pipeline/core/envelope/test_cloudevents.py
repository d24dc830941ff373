"""CloudEvents: which are read, what their attributes fill, and what is refused by its name."""

import base64
import hashlib
import json
from typing import Any

import pytest

from pipeline.core.records import DeadLetter
from tests.support.envelopes import Headers, Sent, in_string
from tests.support.judging import COMPLETE, letter, only_row

LACKING = {"org_id": "acme", "channel": "sms"}
FILLING = {"id": "a-1", "source": "/eu", "type": "com.acme.message.sent.v2", "time": "2026-05-05T11:00:00.5Z"}


def cloud_event(data: Any = None, /, **attributes: Any) -> Sent:
    fields = {"specversion": "1.0", **FILLING, "data": COMPLETE if data is None else data} | attributes
    return Sent(json.dumps({k: v for k, v in fields.items() if v != "absent"}).encode())


def binary(data: Any = None, /, content_type: str = "application/json", **attributes: Any) -> Sent:
    named = {"specversion": "1.0", **FILLING} | attributes
    headers: Headers = tuple((f"ce_{k}", str(v).encode()) for k, v in named.items() if v != "absent")
    value = json.dumps(COMPLETE if data is None else data).encode()
    return Sent(value, (*headers, ("content-type", content_type.encode())))


BOTH = pytest.mark.parametrize("make", [cloud_event, binary])


# -- attributes fill what the data lacks --------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("nothing", ["absent", None])
def test_attributes_fill_what_the_data_lacks(make: Any, nothing: Any) -> None:
    data = LACKING if nothing == "absent" else LACKING | dict.fromkeys(("event_id", "type", "occurred_at"))
    row = only_row(make(data))
    assert (row["event_id"], row["type"], row["occurred_ms"]) == ("/eu a-1", 1, 1_777_978_800_500)
    assert (row["org_id"], row["channel"]) == ("acme", "sms")


@BOTH
@pytest.mark.parametrize("name", ["event_id", "type", "occurred_at"])
def test_one_field_that_is_lacking_is_filled_and_the_others_stay(make: Any, name: str) -> None:
    row = only_row(make({k: v for k, v in COMPLETE.items() if k != name}, type="com.acme.message.failed"))
    filled = {
        "event_id": ("event_id", "/eu a-1"),
        "type": ("type", 3),
        "occurred_at": ("occurred_ms", 1_777_978_800_500),
    }
    column, value = filled[name]
    assert row == {**only_row(Sent(json.dumps(COMPLETE).encode())), column: value}


@pytest.mark.parametrize("name", ["org_id", "channel"])
@BOTH
def test_organization_and_channel_stand_in_the_data(make: Any, name: str) -> None:
    data = {k: v for k, v in COMPLETE.items() if k != name}
    assert f"{name} is required and missing" in letter(make(data, subject="acme")).detail


@pytest.mark.parametrize(
    "kind", ["message.sent", "message.sent.v1", "com.acme.message.sent", "/x/message.sent.v12", "a:message.sent"]
)
@BOTH
def test_a_type_that_ends_in_one_of_ours_is_that(make: Any, kind: str) -> None:
    assert only_row(make(LACKING, type=kind))["type"] == 1


@pytest.mark.parametrize(
    "kind", ["com.acme.notmessage.sent", "message.sent.v", "message.sent.x", "MESSAGE.SENT", "x-message.sent"]
)
@BOTH
def test_any_other_type_is_refused_with_what_was_given(make: Any, kind: str) -> None:
    refused = letter(make(LACKING, type=kind))
    assert refused.reason == "invalid_field"
    assert repr(kind) in refused.detail


@BOTH
def test_long_ids_are_hashed(make: Any) -> None:
    at_most, beyond = "s" * 124, "s" * 125
    assert only_row(make(LACKING, source=at_most, id="a-1"))["event_id"] == f"{at_most} a-1"
    hashed = hashlib.sha256(f"{beyond} a-1".encode()).hexdigest()
    assert only_row(make(LACKING, source=beyond, id="a-1"))["event_id"] == f"sha256:{hashed}"


@BOTH
def test_a_source_with_a_space_makes_no_id(make: Any) -> None:
    """Else two pairs of source and id could make one."""
    refused = letter(make(LACKING, source="/eu west"))
    assert "event_id is missing" in refused.detail
    assert "'/eu west'" in refused.detail
    assert only_row(make(COMPLETE, source="/eu west"))["event_id"] == COMPLETE["event_id"]


@pytest.mark.parametrize(
    ("name", "field"), [("id", "event_id"), ("source", "event_id"), ("type", "type"), ("time", "occurred_at")]
)
@BOTH
def test_without_the_attribute_the_field_is_missing(make: Any, name: str, field: str) -> None:
    assert f"{field} is required and missing" in letter(make(LACKING, **{name: "absent"})).detail


def test_of_a_header_that_comes_twice_the_last_counts() -> None:
    sent = binary(LACKING)
    assert only_row(Sent(sent.value, (*sent.headers, ("ce_id", b"a-2"))))["event_id"] == "/eu a-2"


def test_nothing_that_a_redelivery_may_change_fills_anything() -> None:
    sent = binary(LACKING, id="absent")
    for name in ("id", "event_id", "ce_eventid", "message_id"):
        assert "event_id is required" in letter(Sent(sent.value, (*sent.headers, (name, b"x")))).detail


def test_what_fills_must_obey_the_rules_of_the_field() -> None:
    assert "occurred_at must be an RFC 3339 date-time" in letter(cloud_event(LACKING, time="yesterday")).detail


# -- which are read -----------------------------------------------------------------------------------------------


def test_the_content_type_is_read_in_any_case_and_before_its_parameters() -> None:
    no_version = cloud_event(specversion="absent")
    for text in ("application/cloudevents+json", "Application/CloudEvents+JSON; charset=utf-8"):
        refused = letter(Sent(no_version.value, (("content-type", text.encode()),)))
        assert 'specversion must be "1.0", and is missing' in refused.detail


@pytest.mark.parametrize("version", ["0.3", "1.1", "1", 1.0, None, ""])
def test_other_versions_are_refused(version: Any) -> None:
    assert 'specversion must be "1.0"' in letter(cloud_event(specversion=version)).detail
    if isinstance(version, str):
        assert 'specversion must be "1.0"' in letter(binary(LACKING, specversion=version)).detail


@pytest.mark.parametrize(
    "text",
    ["application/cloudevents-batch+json", "application/cloudevents+avro; x=1", "application/cloudevents+protobuf"],
)
def test_batches_and_other_formats_are_refused_by_name(text: str) -> None:
    refused = letter(Sent(b"[" + cloud_event().value + b"]", (("content-type", text.encode()),)))
    assert f"CloudEvents as {text.partition(';')[0]} are not read" in refused.detail


@pytest.mark.parametrize("content", ["application/json", "text/json; charset=utf-8", "application/vnd.acme+json", ""])
def test_json_by_any_name_is_data(content: str) -> None:
    assert only_row(binary(LACKING, content))["org_id"] == "acme"
    assert only_row(as_base64(json.dumps(LACKING).encode(), datacontenttype=content))["org_id"] == "acme"


@pytest.mark.parametrize("content", ["application/xml", "text/plain", "application/protobuf"])
def test_other_data_is_refused_with_its_type(content: str) -> None:
    assert (
        f"content-type must be application/json, or left out, not {content!r}"
        in letter(binary(LACKING, content)).detail
    )
    refused = letter(as_base64(b"x", datacontenttype=content))
    assert f"datacontenttype must be application/json, or left out, not {content!r}" in refused.detail


def as_base64(data: bytes, **attributes: Any) -> Sent:
    return cloud_event(**{"data": "absent", "data_base64": base64.b64encode(data).decode(), **attributes})


def test_the_type_of_the_content_is_not_looked_at_where_the_data_shows_what_it_is() -> None:
    assert only_row(cloud_event(LACKING, datacontenttype="application/xml"))["org_id"] == "acme"


def test_data_that_is_missing_or_broken_is_said() -> None:
    assert "data is required and missing" in letter(cloud_event(data="absent")).detail
    assert "data is required and missing" in letter(cloud_event(data=None)).detail
    assert "data_base64 must be base64" in letter(cloud_event(data="absent", data_base64="e30=e30")).detail
    assert "must be one JSON object, not '[1]'" in letter(cloud_event([1])).detail


def test_a_null_value_with_attributes_is_empty() -> None:
    refused = letter(Sent(b"", binary().headers))
    assert refused.reason == "empty"


# -- what a letter says -------------------------------------------------------------------------------------------


def broken(make: Any) -> DeadLetter:
    return letter(make(COMPLETE | {"channel": "SMS"}))


@BOTH
def test_a_letter_names_the_envelope_and_is_attributed_through_it(make: Any) -> None:
    refused = broken(make)
    assert refused.reason == "invalid_field"
    assert refused.detail.startswith(f"a {'binary ' * (make is binary)}CloudEvent: channel must be")
    assert refused.detail.endswith("not 'SMS'")
    assert (refused.org_id, refused.event_id, refused.type) == ("acme", "e1", "message.failed")
    assert refused.occurred_ms == 1_777_981_500_000


@BOTH
def test_a_letter_is_attributed_by_what_attributes_fill(make: Any) -> None:
    refused = letter(make({"org_id": "acme", "channel": "SMS"}))
    assert (refused.org_id, refused.event_id, refused.type) == ("acme", "/eu a-1", "message.sent")


@pytest.mark.parametrize("version", ["1.0", "0.3"])
def test_what_is_refused_by_its_envelope_is_attributed_through_all_that_are_in_it(version: str) -> None:
    """Else an erasure would leave it."""
    event = json.dumps(COMPLETE | {"channel": "SMS"}).encode()
    held = b'{"schema": null, "payload": ' + in_string(event) + b"}"
    structured = b'{"specversion": "%s", "data": %s}' % (version.encode(), held)
    for sent in (Sent(structured), binary_of(held, version), binary_of(in_string(event), version)):
        refused = letter(sent)
        assert (refused.org_id, refused.event_id) == ("acme", "e1")
        assert ("specversion" in refused.detail) == (version == "0.3")


def binary_of(value: bytes, version: str) -> Sent:
    return Sent(value, (("ce_specversion", version.encode()), ("content-type", b"application/json")))


def test_a_letter_is_attributed_through_several_envelopes() -> None:
    inner = in_string(json.dumps(COMPLETE | {"channel": "SMS"}).encode())
    connect = b'{"schema": null, "payload": ' + inner + b"}"
    refused = letter(Sent(b'{"specversion": "1.0", "data": ' + connect + b"}"))
    assert refused.detail.startswith("a CloudEvent, Connect's schema and payload, a JSON string: channel must be")
    assert (refused.org_id, refused.event_id) == ("acme", "e1")


def test_a_letter_is_attributed_through_broken_text_in_the_envelope() -> None:
    for damage in (rb'"\ud83d"', b'"\xff"'):
        value = cloud_event(COMPLETE | {"channel": "SMS"}).value.replace(b'"/eu"', damage)
        assert letter(Sent(value)).org_id == "acme"


def test_half_of_a_pair_in_what_becomes_the_id_is_refused() -> None:
    value = cloud_event(LACKING).value.replace(b'"a-1"', rb'"a-\ud83d"')
    assert "event_id must not contain half of a surrogate pair" in letter(Sent(value)).detail
    value = cloud_event(LACKING, subject="x").value.replace(b'"x"', rb'"a-\ud83d"')
    assert only_row(Sent(value))["event_id"] == "/eu a-1"
