"""Answers as bytes: JSON, CSV, NDJSON, and their tag."""

import csv
import io
import re
from decimal import Context, Decimal

import pytest

from api.answer import Answer, Changed, Groups, Rows
from api.negotiate import CSV, JSON, NDJSON
from api.params import Metric
from api.render import render
from api.window import Question, Window
from schemas.grain import Grain

HOURS = Window(Grain.HOUR, 0, 3 * 3600)
PLAIN = Question(Metric.COST_CENTS, HOURS, None, None)
GROUPED = Question(Metric.SENT, HOURS, "channel", None)
VALUES = {0: Decimal("0.100000"), 3600: Decimal("2.000000")}
GROUP_ROWS: dict[int, Groups] = {0: [("=1+1", 3), ("", 2)]}


def lines(answer: Answer, kind: str) -> list[str]:
    return render(answer, kind)[0].decode().splitlines()


def test_an_answer_without_a_watermark_says_null() -> None:
    request = Question(Metric.SENT, Window(Grain.DAY, 0, 86_400), None, None)
    body, _ = render(Answer(request, request.window, {}, None, None, 1000, None), JSON)
    assert b'"as_of":null' in body
    assert b'"value":null' in body


def test_csv_has_empty_cells_for_null_and_zero_for_zero() -> None:
    answer = Answer(PLAIN, HOURS, {0: VALUES[0]}, None, 7200, 1000, None)
    assert lines(answer, CSV) == [
        "bucket_start,value",
        "1970-01-01T00:00:00Z,0.1",
        "1970-01-01T01:00:00Z,0",
        "1970-01-01T02:00:00Z,",
    ]


def test_csv_of_a_comparison_has_both_values() -> None:
    request = Question(Metric.COST_CENTS, HOURS, None, "prior_period")
    answer = Answer(request, HOURS, VALUES, {-10800: Decimal(7)}, 7200, 1000, None)
    assert lines(answer, CSV) == [
        "bucket_start,value,prior_value",
        "1970-01-01T00:00:00Z,0.1,7",
        "1970-01-01T01:00:00Z,2,0",
        "1970-01-01T02:00:00Z,,0",
    ]


def test_csv_of_groups_has_a_line_per_key_and_one_for_none() -> None:
    answer = Answer(GROUPED, HOURS, GROUP_ROWS, None, 7200, 1000, None)
    assert lines(answer, CSV) == [
        "bucket_start,key,value",
        "1970-01-01T00:00:00Z,'=1+1,3",
        "1970-01-01T00:00:00Z,,2",
        "1970-01-01T01:00:00Z,,0",
        "1970-01-01T02:00:00Z,,",
    ]


@pytest.mark.parametrize("start", "=+-@＝＋－＠\t\r\n")
def test_no_cell_of_csv_begins_like_a_formula(start: str) -> None:
    groups: Groups = [(start + "1", 3), ("a" + start, 2)]
    answer = Answer(GROUPED, HOURS, {0: groups}, None, 7200, 1000, None)
    rows = list(csv.reader(io.StringIO(render(answer, CSV)[0].decode(), newline="")))
    assert {row[1] for row in rows[1:3]} == {"'" + start + "1", "a" + start}


def test_ndjson_is_a_bucket_object_a_line() -> None:
    answer = Answer(PLAIN, HOURS, VALUES, None, 7200, 1000, None)
    assert lines(answer, NDJSON) == [
        '{"bucket_start":"1970-01-01T00:00:00Z","value":0.1}',
        '{"bucket_start":"1970-01-01T01:00:00Z","value":2}',
        '{"bucket_start":"1970-01-01T02:00:00Z","value":null}',
    ]


def test_ndjson_of_a_comparison_has_the_prior_bucket_in_each_line() -> None:
    question = Question(Metric.COST_CENTS, HOURS, None, "prior_period")
    answer = Answer(question, HOURS, VALUES, {-10800: Decimal(7)}, 7200, 1000, None)
    assert lines(answer, NDJSON)[0] == (
        '{"bucket_start":"1970-01-01T00:00:00Z","value":0.1,"prior":{"bucket_start":"1969-12-31T21:00:00Z","value":7}}'
    )


def test_json_has_the_digits_of_the_decimal() -> None:
    exact = Decimal("12345678901234567890123456789.000001")  # more than a float, and more than decimal's context, holds
    answer = Answer(PLAIN, HOURS, {0: exact}, None, 7200, 1000, None)
    assert f'"value":{exact}}}' in lines(answer, JSON)[0]


@pytest.mark.parametrize("kind", [JSON, CSV, NDJSON])
@pytest.mark.parametrize("grouped", [False, True], ids=["total", "grouped"])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("size", ["999999999999.999999", "0.000001", "1000000000000000000000", "0.5", "120", "0"])
def test_the_text_of_a_cost_is_the_one_that_was_stored(kind: str, grouped: bool, sign: str, size: str) -> None:
    """Whatever its sign; as a value, as that of a group, and on both sides of a comparison. There is no -0."""
    text = "0" if size == "0" else sign + size
    stored = Decimal(sign + size).quantize(Decimal("0.000001"), context=Context(prec=60))
    question = Question(Metric.COST_CENTS, HOURS, "channel" if grouped else None, "prior_period")
    rows: tuple[Rows, Rows] = ({0: stored}, {-10_800: stored})
    if grouped:
        rows = ({0: [("sms", stored)]}, {-10_800: [("sms", stored)]})
    body = render(Answer(question, HOURS, *rows, 7200, 1000, None), kind)[0].decode()
    numbers = re.findall(r'"value":([^,}]+)', body) if kind != CSV else body.splitlines()[1].split(",")[-2:]
    assert [number for number in numbers if number not in ("0", "null")] == ([text] * 2 if text != "0" else [])


def changed(*stamps: int, since: int = 0, following: int | None = 7200) -> Answer:
    """Hours that have changed, the first of them empty, computed at these times."""
    starts = [3600 * n for n in range(len(stamps))]
    question = Question(Metric.SENT, HOURS, "channel", None, since)
    rows: dict[int, Groups] = {start: [("sms", 2), ("=1", 0)] for start in starts[1:]}
    known = {start: at for start, at in zip(starts, stamps, strict=True) if at}
    return Answer(question, HOURS, rows, None, 7200, 1000, None, Changed(starts, known, following))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            CSV,
            [
                "bucket_start,key,value,updated_at",
                "1970-01-01T00:00:00Z,,0,",
                "1970-01-01T01:00:00Z,sms,2,1970-01-01T02:03:20Z",
            ],
        ),
        (
            NDJSON,
            [
                '{"bucket_start":"1970-01-01T00:00:00Z","groups":[],"updated_at":null}',
                '{"bucket_start":"1970-01-01T01:00:00Z","groups":[{"key":"sms","value":2}],'
                '"updated_at":"1970-01-01T02:03:20Z"}',
            ],
        ),
    ],
)
def test_what_has_changed_says_when(kind: str, expected: list[str]) -> None:
    assert lines(changed(0, 7400), kind) == expected


def test_an_answer_says_what_to_ask_with_next_time_only_where_it_was_asked_since() -> None:
    metas = [render(answer, JSON)[0].partition(b'"meta":')[2] for answer in (changed(5), changed(5, following=None))]
    assert [b'"next_updated_since":"1970-01-01T02:00:00Z"' in metas[0], b'"next_updated_since":null' in metas[1]] == [
        True,
        True,
    ]
    assert b"next_updated_since" not in render(Answer(PLAIN, HOURS, VALUES, None, 7200, 1000, None), JSON)[0]


def test_a_tag_covers_what_was_asked_since_and_when_it_was_computed_but_not_what_to_ask_with_next_time() -> None:
    tags = [render(answer, CSV)[1] for answer in (changed(5), changed(5, following=9), changed(6), changed(5, since=1))]
    assert (tags[0] == tags[1], len(set(tags))) == (True, 3)


def test_a_tag_covers_the_numbers_and_the_page_but_not_as_of() -> None:
    def tag(as_of: int = 7200, rows: dict[int, Decimal] = VALUES, kind: str = JSON, limit: int = 1000) -> str:
        return render(Answer(PLAIN, HOURS, rows, None, as_of, limit, None), kind)[1]

    assert tag() == tag(as_of=7201)
    others = {tag(as_of=10_800), tag(rows={}), tag(kind=CSV), tag(kind=NDJSON), tag(limit=5)}
    assert len(others | {tag()}) == 6
    empty = [Question(Metric.SENT, HOURS, group_by, None) for group_by in ("channel", "error_code")]
    assert len({render(Answer(request, HOURS, {}, None, 7200, 1000, None), JSON)[1] for request in empty}) == 2
    assert tag().startswith('W/"')
