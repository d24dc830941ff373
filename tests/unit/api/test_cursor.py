"""Cursors: what they pin is read again, and nothing else is."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import cursor
from api.changes import Pinned
from api.cursor import Cursor
from api.errors import InvalidInput
from api.params import Metric, parse_query
from api.window import Question, Window, resolve
from schemas.grain import Grain
from schemas.instant import Instant
from schemas.tiers import Tier
from tests.support.windows import windows

NOW = Instant(1_778_000_000)
SECRET = b"secret"
QUESTION = Question(Metric.SENT, Window(Grain.HOUR, 3_600_000, 7_200_000), None, "prior_period")


@given(windows(), st.sampled_from(Metric), st.sampled_from([None, "channel", "error_code"]), st.text(max_size=64))
def test_a_cursor_round_trips(window: Window, metric: Metric, group_by: str | None, org: str) -> None:
    made = Cursor(Question(metric, window, group_by, None), window.end - window.grain.seconds)
    assert cursor.decode(cursor.encode(made, org, SECRET), org, SECRET) == made


@given(windows(), st.integers(0, 2**40), st.none() | st.integers(0, 2**40), st.integers(-(2**40), 2**40))
def test_a_cursor_of_what_has_changed_round_trips(
    window: Window, resynced_at: int, following: int | None, since: int
) -> None:
    question = Question(Metric.SENT, window, "channel", None, since)
    made = Cursor(question, window.start, Pinned(resynced_at, following))
    assert cursor.decode(cursor.encode(made, "org", SECRET), "org", SECRET) == made


def test_a_cursor_of_all_buckets_is_as_it_was_before_there_were_others() -> None:
    """Processes of the version before run beside this one while it is deployed, and answer its clients' next pages."""
    text = cursor.encode(Cursor(QUESTION, 3_600_000), "org", SECRET)
    body = b'[1,"org","sent","hour",3600000,7200000,null,"prior_period",3600000]'
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))[cursor.SIGNATURE_BYTES :] == body


def test_any_altered_character_of_a_cursor_is_noticed() -> None:
    text = cursor.encode(Cursor(QUESTION, 3_600_000), "org", SECRET)
    altered = {text[:i] + c + text[i + 1 :] for i in range(len(text)) for c in "A9_-z" if text[i] != c}
    for wrong in altered | {text[:-1], text + "A", text + "=", "", "ü", text + "\n", " " + text}:
        with pytest.raises(InvalidInput) as error:
            cursor.decode(wrong, "org", SECRET)
        assert error.value.details is not None
        assert list(error.value.details) == ["cursor"]


def test_a_cursor_of_another_version_is_refused_though_it_is_signed() -> None:
    body = b'[3,"org","sent",{"grain":"week"}]'
    text = base64.urlsafe_b64encode(cursor._sign(SECRET, body) + body).rstrip(b"=").decode()
    with pytest.raises(InvalidInput):
        cursor.decode(text, "org", SECRET)


def test_a_cursor_of_another_organization_or_secret_is_refused() -> None:
    text = cursor.encode(Cursor(QUESTION, 3_600_000), "org", SECRET)
    for org, secret in (("other", SECRET), ("org", b"other")):
        with pytest.raises(InvalidInput):
            cursor.decode(text, org, secret)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("metric=sent&granularity=hour&compare_to=prior_period&limit=7", None),
        ("metric=failed", "metric"),
        ("granularity=day", "granularity"),
        ("group_by=channel", "group_by"),
    ],
)
def test_a_parameter_beside_a_cursor_must_agree_with_it(query: str, wrong: str | None) -> None:
    parsed = parse_query((query + "&cursor=x").encode(), NOW)
    if wrong is None:
        cursor.check_agrees(parsed, QUESTION)
        return
    with pytest.raises(InvalidInput) as error:
        cursor.check_agrees(parsed, QUESTION)
    assert error.value.details is not None
    assert list(error.value.details) == [wrong]


def test_what_is_asked_since_must_agree_to_the_second() -> None:
    pinned = msgspec.structs.replace(QUESTION, compare_to=None, updated_since=1_777_939_200)
    cursor.check_agrees(parse_query(b"cursor=x&updated_since=2026-05-05T00:00:00.5Z", NOW), pinned)
    cursor.check_agrees(parse_query(b"cursor=x", NOW), pinned)
    for query in (b"updated_since=2026-05-05T00:00:01Z", b"compare_to=prior_period"):
        with pytest.raises(InvalidInput):
            cursor.check_agrees(parse_query(query + b"&cursor=x", NOW), pinned)
    with pytest.raises(InvalidInput):
        cursor.check_agrees(parse_query(b"cursor=x&updated_since=2026-05-05T00:00:00Z", NOW), QUESTION)


def test_agreement_is_on_resolved_values() -> None:
    query = parse_query(b"metric=sent&from=2026-05-05T00:10:00Z&to=2026-05-05T05:00:00Z", NOW)
    pinned = resolve(query, Tier.SCALE, NOW)
    cursor.check_agrees(parse_query(b"cursor=x&from=2026-05-05T00:59:00Z&to=2026-05-05T04:00:01Z", NOW), pinned)
    with pytest.raises(InvalidInput):
        cursor.check_agrees(parse_query(b"cursor=x&from=2026-05-05T01:00:00Z", NOW), pinned)
