"""The options of ``compare``: what each may be, what it cannot mean, and which of them belong together."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.compare_options import (
    SEPARATOR,
    THOUSANDS,
    CentsType,
    ColumnsType,
    DateFormatType,
    EncodingType,
    PatternType,
    ZoneType,
    read_channels,
)
from deploy.cli.invoice_form import ROLES, Columns
from deploy.cli.main import run
from deploy.errors import Usage

NAMES = st.lists(
    st.text(st.sampled_from('aB ,="é'), min_size=1, max_size=6).map(lambda text: " ".join(text.split())).filter(bool),
    min_size=4, max_size=4, unique=True,
)  # fmt: skip


def convert(kind: click.ParamType, value: str) -> Any:
    return kind.convert(value, None, None)


def refused(kind: click.ParamType, value: str) -> str:
    with pytest.raises(click.UsageError) as error:
        convert(kind, value)
    return error.value.message


@given(NAMES, st.permutations(ROLES), st.booleans())
def test_any_name_of_a_column_can_be_written(names: list[str], roles: list[str], has_blanks: bool) -> None:
    doubled = [name.replace('"', '""') for name in names]
    items = [f'{role}="{name}"' for role, name in zip(roles, doubled, strict=True)]
    text = " , ".join(items) if has_blanks else ",".join(items)
    assert convert(ColumnsType(), text) == Columns(**dict(zip(roles, names, strict=True)))


def test_columns_have_names_with_blanks_and_commas() -> None:
    text = 'date=Usage  day,channel=Type of = message,count=Messages,cost="Amount, ""net"""'
    assert convert(ColumnsType(), text) == Columns("Usage day", "Type of = message", "Messages", 'Amount, "net"')
    assert convert(ColumnsType(), "cost=c,date=d") == Columns("d", cost="c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date=d", "it must name the column of the date, and at least one of count and cost"),
        ("count=n,cost=c", "it must name the column of the date"),
        ("date=d,channel=c", "at least one of count and cost"),
        ("date=d,count=n,", "it must be role=name, with commas between several"),
        ("date=d,count", "it must be role=name"),
        ("date=d,price=n", "for the roles date, channel, count, cost"),
        ('date="d,count=n', "it must be role=name"),
        ("date=d,count=n,date=e", "each role is named once"),
        ("date=d,count=d", "each by another column"),
        ("date=d,count= ", "each role is named once"),
        ('date=d,count=""', "each role is named once"),
    ],
)
def test_columns_that_are_no_columns_are_refused(text: str, said: str) -> None:
    assert said in refused(ColumnsType(), text)


def test_a_zone_is_one_of_the_database() -> None:
    assert convert(ZoneType(), "Asia/Kolkata").key == "Asia/Kolkata"
    for value in ("Berlin", "Europe", "+02:00", "", "../etc/passwd", "/etc/localtime", "a\0b", "\ud800", "x" * 9999):
        assert refused(ZoneType(), value).startswith("it must be a zone of the IANA database, as Europe/Berlin or UTC")


def test_an_encoding_is_one_of_text() -> None:
    assert [convert(EncodingType(), name) for name in ("UTF8", "UTF-16", "windows-1252")] == [
        "utf-8",
        "utf-16",
        "cp1252",
    ]
    for value in ("hex", "rot13", "base64", "zip", "ansi?", "", "utf-8\0"):
        assert refused(EncodingType(), value).startswith("it must be an encoding that Python knows"), value


def test_a_separator_is_one_character_that_no_cell_has_alone() -> None:
    assert [convert(SEPARATOR, text) for text in (",", ";", "tab", "\t", "|", " ", "·")] == list(",;\t\t| ·")
    for value in ("", "ab", "::", '"', "\n", "\r", "\0", "a", "0", "-", "+", "é"):
        assert "it must be one character (no letter" in refused(SEPARATOR, value), value


def test_thousands_are_one_character() -> None:
    assert [convert(THOUSANDS, text) for text in (".", ",", "'", "’", "space", " ", "\u00a0")] == list(".,'’  \u00a0")
    for value in ("", "nothing", "1", "-"):
        assert "or the word space" in refused(THOUSANDS, value)


def test_a_tolerance_is_cents() -> None:
    assert [convert(CentsType(), text) for text in ("0", "0.5", "12", "0.000001")] == [0, 500_000, 12_000_000, 1]
    assert convert(CentsType(), "999999999999.999999") == 999_999_999_999_999_999
    for value in ("-1", "1e3", "0.0000001", "1,5", "", ".", "NaN", "٣", "9" * 13):
        assert refused(CentsType(), value).startswith("it must be cents with at most 6 decimals"), value


def test_a_pattern_is_one_and_leaves_something_in() -> None:
    assert convert(PatternType(), "^Total") == re.compile("^Total")
    assert convert(PatternType(), "^;*$").search(";;;")
    assert refused(PatternType(), "(").startswith("it must be a regular expression of Python (")
    assert [refused(PatternType(), text)[:31] for text in ("", "^", "$")] == ["it is empty and leaves out ever"] * 3


@pytest.mark.parametrize("text", ["%d.%m.%Y", "%Y%m%d", "%d %b %y", "%j/%Y", "%G-W%V-%u", "%Y-%m-%d %H:%M:%S%z", "%x"])
def test_a_date_format_tells_a_day(text: str) -> None:
    assert convert(DateFormatType(), text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%d.%m.", "it must hold year, month and day"),
        ("%H:%M", "it must hold year, month and day"),
        ("DD.MM.YYYY", "it must hold year, month and day"),
        ("", "it must hold year, month and day"),
        ("%Y-%m-%d %Z", "use %z for an offset"),
        ("%s", "Python's strptime does not know it"),
        ("%", "Python's strptime does not know it"),
    ],
)
def test_a_date_format_that_tells_none_is_refused(text: str, said: str) -> None:
    assert said in refused(DateFormatType(), text)


def test_a_map_has_a_line_for_each_channel(tmp_path: Path) -> None:
    def read(text: str) -> dict[str, str]:
        (tmp_path / "map").write_text(text, encoding="utf-8-sig")
        return read_channels(str(tmp_path / "map"))

    assert read("SMS=sms\r\n\n E-Mail, a=b = email \nText=sms") == {"SMS": "sms", "E-Mail, a=b": "email", "Text": "sms"}
    for text, said in (
        ("SMS=sms\nx\n", "line 2 must be theirs=ours, as in SMS=sms, not 'x'"),
        ("SMS=\n", "line 1 must be theirs=ours"),
        ("=sms\n", "line 1 must be theirs=ours"),
        ("SMS=sms\n\nSMS=mms\n", "line 3 names 'SMS' again"),
        ("SMS=sms\n\0=x\n", "line 2 holds a NUL"),
    ):
        with pytest.raises(Usage) as error:
            read(text)
        assert str(error.value).startswith(f"--map {str(tmp_path / 'map')!r}: {said}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("date=d,count=n",), "--columns names a count: say by --count which of ours it is, sent, delivered, failed"),
        (("date=d,cost=c", "--count", "sent"), "--count is for a count column, and --columns names none: add count=…"),
        (("date=d,count=n", "--count", "sent", "--negate"), "--negate is for a cost column, and --columns names none"),
        (
            ("date=d,count=n", "--count", "sent", "--cost-unit", "cents", "--tolerance", "0"),
            "--cost-unit and --tolerance are for a cost column",
        ),
        (("date=d,cost=c", "--map", "/dev/null"), "--map is for a channel column, and --columns names none"),
        (("date=d,cost=c", "--decimal", ",", "--thousands", ","), "--decimal and --thousands are both ','"),
        (("date=d,cost=c", "--from", "2026-10-02T00:00:00Z"), "--from must be before --to"),
        (
            ("date=d,cost=c", "--to", "2026-10-02T01:00:00Z"),
            "--to must be a midnight of UTC, and 2026-10-02T01:00:00+00",
        ),
        (("date=d,cost=c", "--zone", "Asia/Kolkata"), "--from must be a midnight of Asia/Kolkata"),
    ],
)
def test_options_that_mean_nothing_together_are_refused_before_the_file_is_opened(
    words: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    span = ("--from", "2026-10-01T00:00:00Z", "--to", "2026-10-02T00:00:00Z")
    assert run(["compare", "/no/such/file", "--org", "acme", *span, "--columns", *words]) == 2
    out, err = capfd.readouterr()
    assert (out, err.startswith(f"msgmetrics: {said}")) == ("", True), err
