"""Grains, tiers, settings, and that the published documents say what the code does."""

import json
import re
from decimal import Decimal
from importlib.resources import files

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.api_key import KEY_PATTERN, key_hash, key_prefix, new_key
from schemas.grain import Grain
from schemas.message_event import TYPES
from schemas.publish import DOCUMENTS, EXAMPLE, event_schema, render
from schemas.settings import PREFIX, SETTINGS, SettingsError, read_settings
from schemas.tiers import Tier

SECONDS = st.integers(0, 4 * 10**9)
GRAINS = st.sampled_from(Grain)


@given(GRAINS, SECONDS)
def test_floor_is_idempotent_and_its_bucket_contains_the_instant(grain: Grain, seconds: int) -> None:
    start = grain.floor(seconds)
    assert grain.floor(start) == start
    assert start <= seconds < start + grain.seconds


@given(GRAINS, SECONDS)
def test_ceil_is_the_first_bucket_start_at_or_after(grain: Grain, seconds: int) -> None:
    assert grain.ceil(seconds) == grain.floor(seconds + grain.seconds - 1)


@given(GRAINS, SECONDS)
def test_a_bucket_is_closed_exactly_when_the_watermark_reaches_its_end(grain: Grain, seconds: int) -> None:
    start = grain.floor(seconds)
    end_ms = (start + grain.seconds) * 1000
    assert grain.is_closed(start, end_ms)
    assert not grain.is_closed(start, end_ms - 1)


def test_a_tier_reads_its_own_granularity_and_all_coarser_ones() -> None:
    assert {t.value: [g.value for g in t.grains] for t in Tier} == {
        "payg": ["day"],
        "starter": ["day"],
        "growth": ["day", "hour"],
        "scale": ["day", "hour", "minute"],
        "custom": ["day", "hour", "minute"],
    }


def test_a_key_has_its_form_and_only_a_prefix_is_shown() -> None:
    key = new_key()
    assert KEY_PATTERN.fullmatch(key)
    assert key != new_key()
    assert len(key_prefix(key)) == 12
    assert len(key_hash(key)) == 64


def test_all_defaults_are_valid() -> None:
    assert read_settings({}).topics == ("message-events",)


def test_all_mistakes_are_reported_at_once_with_name_and_rule() -> None:
    wrong = {"FLUSH_EVENTS": "x", "LOG_FORMAT": "xml", "CLICKHOUSE_URL": "secret://p", "NO_SUCH": "1", "API_PORT": "٣"}
    with pytest.raises(SettingsError) as error:
        read_settings({PREFIX + name: value for name, value in wrong.items()})
    assert len(error.value.problems) == len(wrong)
    assert all(any(PREFIX + name in problem for problem in error.value.problems) for name in wrong)
    assert "secret://p" not in str(error.value)


def test_a_secret_may_come_from_a_file_but_not_twice(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "url").write_text("http://u:p@h:1/d\n")
    variable = PREFIX + "CLICKHOUSE_URL"
    assert read_settings({variable + "_FILE": str(tmp_path / "url")}).clickhouse_url == "http://u:p@h:1/d"
    with pytest.raises(SettingsError, match="both"):
        read_settings({variable + "_FILE": str(tmp_path / "url"), variable: "http://h"})


def test_heartbeats_must_fit_the_session_timeout() -> None:
    with pytest.raises(SettingsError, match="third"):
        read_settings({PREFIX + "KAFKA_SESSION_TIMEOUT_SECONDS": "6", PREFIX + "KAFKA_HEARTBEAT_SECONDS": "3"})


def test_the_readme_lists_every_setting_with_its_default() -> None:
    readme = (files("schemas").joinpath("..") / "README.md").read_text()
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else ""
        assert f"| `{setting.variable}` | {default} | {setting.help} |" in readme


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_published_document_is_current(name: str) -> None:
    current = (files("schemas") / "published" / name).read_bytes()
    assert current == render(DOCUMENTS[name]()), "run: python -m schemas.publish"


VALIDATOR = jsonschema.Draft202012Validator(event_schema(), format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize(
    ("changes", "valid"),
    [
        ({}, True),
        ({"error_code": None}, True),
        ({"cost_cents": 1}, True),
        ({"cost_cents": None}, True),
        ({"anything": [1]}, True),
        ({"type": "message.sent"}, False),
        ({"type": "message.sent", "error_code": None}, True),
        ({"channel": "SMS"}, False),
        ({"channel": "__other__"}, False),
        ({"cost_cents": "1e3"}, False),
        ({"cost_cents": -1}, False),
        ({"cost_cents": 1e12}, False),
        ({"cost_cents": "-0.0"}, True),
        ({"cost_cents": "-1"}, False),
        ({"type": "message.charged"}, False),
        ({"type": "message.charged", "error_code": None}, True),
        ({"type": "message.charged", "error_code": None, "cost_cents": None}, False),
        ({"type": "message.charged", "error_code": None, "cost_cents": "-0.5"}, True),
        ({"type": "message.charged", "error_code": None, "cost_cents": -0.5}, True),
        ({"type": "message.charged", "error_code": None, "cost_cents": -1e12}, False),
        ({"type": "message.charged", "error_code": None, "cost_cents": "--1"}, False),
        ({"event_id": ""}, False),
        ({"org_id": 7}, False),
        ({"error_code": "__other__"}, False),
        ({"occurred_at": "2026-05-05"}, False),
        ({"occurred_at": "2026-05-05T12:00:00"}, False),
    ],
)
def test_the_published_schema_and_the_decoder_agree(changes: dict[str, object], valid: bool) -> None:
    from pipeline.core.event import decode_event

    event = {**EXAMPLE, **changes}
    assert VALIDATOR.is_valid(event) is valid
    try:
        decode_event(json.dumps(event).encode())
        decoded = True
    except Exception:
        decoded = False
    assert decoded is valid


TEXTS = st.sampled_from(
    ["", "x", "__other__", "x" * 64, "x" * 65, "x" * 128, "x" * 129, "sms", "a.b-c_9", "A", "ü", "\u2028"]
)
NUMBERS = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,13})(\.[0-9]{1,6})?", fullmatch=True),
    st.from_regex(r"-?0(\.0{1,9})?([eE][+-]?[0-9]{1,25})?", fullmatch=True),
    st.sampled_from(
        ["1E2", "1e11", "1e12", "999999999999.999999", "15e-6", "-1e-6", "1e0000000000", "12e+000000000003"]
    ),
)
ANY = st.sampled_from(["null", "true", "0", "[]", "{}", *map(json.dumps, TYPES)])
TIMES = [
    "2026-05-05T12:00:00.123Z",
    "2026-05-05T12:00:00+02:00",
    "2026-05-05",
    "2026-02-30T12:00:00Z",
    "2026-05-05T12:00:00",
]
COST_TEXTS = st.from_regex(r"-?[0-9]{0,13}(\.[0-9]{0,7})?(e1)?", fullmatch=True)
MEMBERS = {
    "event_id": TEXTS,
    "type": st.sampled_from([*TYPES, TYPES[-1], "message.opened", ""]),
    "org_id": TEXTS,
    "channel": TEXTS,
    "occurred_at": st.sampled_from(TIMES),
    "error_code": TEXTS,
    "cost_cents": COST_TEXTS,
    "note": TEXTS,
}


@given(st.data())
def test_the_published_schema_and_the_decoder_agree_on_any_mistake(data: st.DataObject) -> None:
    """Up to three fields of a valid event are changed or left out. Six decimals in a number no schema can say."""
    from pipeline.core.event import decode_event

    raw = {name: json.dumps(value) for name, value in EXAMPLE.items()}
    for name in data.draw(st.lists(st.sampled_from(list(MEMBERS)), max_size=3, unique=True)):
        told = data.draw(
            st.one_of(MEMBERS[name].map(json.dumps), ANY, st.none(), *([NUMBERS] * (name == "cost_cents")))
        )
        raw.pop(name, None)
        raw |= {} if told is None else {name: told}
    text = "{" + ", ".join(f"{json.dumps(name)}: {told}" for name, told in raw.items()) + "}"
    valid = VALIDATOR.is_valid(json.loads(text, parse_float=_exactly))
    try:
        decode_event(text.encode())
        decoded = True
    except Exception:
        decoded = False
    assert decoded is valid, text


def _exactly(text: str) -> Decimal | int:
    """A JSON number; a zero has an exponent that Decimal may refuse."""
    return 0 if not re.search("[1-9]", re.split("[eE]", text)[0]) else Decimal(text)
