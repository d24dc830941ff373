"""A provider's file reads back as what was written, in whatever form; or it is refused, by line, column and rule."""

import codecs
import contextlib
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.comparing import Numbers
from deploy.cli.invoice_file import LONGEST_LINE, Invoice, read_invoice
from deploy.cli.invoice_form import Columns, Form
from deploy.cli.zone_days import Days, days_of, midnight_of
from deploy.errors import Usage

ZONE = ZoneInfo("Europe/Berlin")
FIRST = date(2026, 10, 20)  # clocks are set on the sixth of its days
DAYS = days_of(ZONE, midnight_of(ZONE, FIRST), midnight_of(ZONE, FIRST + timedelta(days=12)))
COLUMNS = Columns("Day", "Kind", "Messages", "Net amount")
FORM = Form(COLUMNS)
HEADER = "Day,Kind,Messages,Net amount"
ENCODINGS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"),
    *("cp1252", "latin-1", "cp037", "gb18030", "iso2022_jp"),
)


def read(content: bytes | str, form: Form = FORM, days: Days = DAYS, block: int = 1 << 20) -> Invoice:
    data = content.encode(form.encoding) if isinstance(content, str) else content
    return read_invoice("'x.csv'", (data[at : at + block] for at in range(0, len(data), block)), form, days)


def refusal(content: bytes | str, form: Form = FORM) -> str:
    with pytest.raises(Usage) as refused:
        read(content, form)
    said = str(refused.value)
    assert said.startswith("'x.csv', line "), said
    assert said.endswith(". Nothing was compared")
    assert said.isprintable()
    return said.removeprefix("'x.csv', line ").removesuffix(". Nothing was compared")


@pytest.mark.parametrize("bom", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_a_byte_order_mark_is_no_part_of_the_first_column(bom: bytes) -> None:
    encoding = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}[bom]
    text = f"{HEADER}\n2026-10-20,sms,1,0\n".encode(encoding)
    for form in (
        replace(FORM, encoding=encoding),
        replace(FORM, encoding="utf-16" if "16" in encoding else "utf-8-sig"),
    ):
        assert read(bom + text, form).lines == 1


def test_lines_of_a_day_and_channel_add_up_and_no_column_but_the_named_ones_counts() -> None:
    text = "Day,Kind,Messages,Net amount,Note,Note\n" + "2026-10-20, sms ,1,0.5,,\n" * 3 + "2026-10-20,mms,2,-.25,,\n"
    cells = {(DAYS.all[0], "sms"): Numbers(3, 1_500_000), (DAYS.all[0], "mms"): Numbers(2, -250_000)}
    assert read(text).cells == cells
    by_day = replace(FORM, columns=Columns("Day", cost="Net amount"))
    assert read(text, by_day).cells == {(DAYS.all[0], ""): Numbers(0, 1_250_000)}


def test_zeros_at_the_end_are_no_decimals() -> None:
    assert read(f"{HEADER}\n2026-10-20,sms,1,0.50000000\n").cells == {(DAYS.all[0], "sms"): Numbers(1, 500_000)}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block", [1, 2, 5, 1000])
def test_lines_are_counted_as_an_editor_does_however_they_come(end: str, block: int) -> None:
    text = end.join((HEADER, LINE, "", '2026-10-20,"two', 'lines",1,1', "bad"))
    with pytest.raises(Usage, match="line 6: it has 1 cells"):
        read(text, block=block)


def test_a_header_alone_is_a_file_without_numbers() -> None:
    assert read(f"\n{HEADER}") == Invoice({}, 0, 0)


def test_a_column_is_found_however_many_blanks_its_name_has() -> None:
    assert read('Day,Kind,Messages,"Net\n \u00a0amount "\n2026-10-20,sms,1,0\n').lines == 1


def test_a_time_without_offset_is_of_its_date_and_one_with_offset_of_its_instant() -> None:
    def day(text: str, **form: Any) -> str:
        ((cell, _),) = read(f"{HEADER}\n{text},sms,1,0\n", replace(FORM, **form)).cells.items()
        return str(cell[0].date)

    assert day("2026-10-24T22:00:00Z") == "2026-10-25"
    assert day("2026-10-25T22:59:59.999Z") == "2026-10-25", "25 hours"
    assert day("2026-10-25T23:00:00Z") == "2026-10-26"
    assert day("25.10.2026 23:59", date_format="%d.%m.%Y %H:%M") == "2026-10-25"
    assert day("25.10.2026 02:30", date_format="%d.%m.%Y %H:%M") == "2026-10-25", "there twice"
    assert day("25.10.2026 23:59 -0100", date_format="%d.%m.%Y %H:%M %z") == "2026-10-26"


LINE = "2026-10-20,sms,1,0.5"
BAD: dict[str, tuple[str, Form, str]] = {
    "an empty file": ("", FORM, "1: the file has no header; its first line names the columns"),
    "blank lines": ("\n \n", FORM, "1: the file has no header"),
    "everything skipped": (
        "a\nb", replace(FORM, skip=(re.compile("."),)), "1: the file has no header: all of its 2 lines are skipped",
    ),
    "an unknown column": (
        HEADER.replace("Kind", "kind"), FORM,
        "1: the header has no column 'Kind', only 'Day', 'kind', 'Messages', 'Net amount'; --columns names them",
    ),
    "another separator": (HEADER, replace(FORM, separator=";"), "--separator what is between them"),
    "a column twice": (f"\n{HEADER},Kind", FORM, "2: the header has the column 'Kind' 2 times; rename one"),
    "a missing cell": (f"{HEADER}\n{LINE}\n2026-10-20,sms,1", FORM, "3: it has 3 cells and the header 4"),
    "an unquoted separator": (f"{HEADER}\n2026-10-20,sms,1,234,0.5", FORM, "2: it has 5 cells and the header 4"),
    "an empty cell at the end": (f"{HEADER}\n2026-10-20,sms,1,234,", FORM, "2: it has 5 cells and the header 4"),
    "a date of another form": (
        f"{HEADER}\n20.10.2026,sms,1,1", FORM,
        "2: column 'Day' must be like 2026-10-31 or RFC 3339, and a day that there is, not '20.10.2026'; --date-format",
    ),
    "a time without an offset": (f"{HEADER}\n2026-10-20T00:00:00,sms,1,1", FORM, "2: column 'Day' must be like"),
    "a day that is none": (f"{HEADER}\n2026-02-30,sms,1,1", FORM, "2: column 'Day' must be like"),
    "a week": (f"{HEADER}\n2026-W43-2,sms,1,1", FORM, "2: column 'Day' must be like"),
    "an empty date": (f"{HEADER}\n,sms,1,1", FORM, "2: column 'Day' must be like"),
    "a day that is none in a format": (
        f"{HEADER}\n30.02.2026,sms,1,1", replace(FORM, date_format="%d.%m.%Y"),
        "2: column 'Day' must be a date as '%d.%m.%Y' has it, and a day that there is, not '30.02.2026'",
    ),
    "a day before the span": (
        f"{HEADER}\n2026-10-19,sms,1,1", FORM,
        "2: column 'Day' must lie in the span, 2026-10-20 to 2026-10-31 of Europe/Berlin, not '2026-10-19'; --from and",
    ),
    "a day after the span": (f"{HEADER}\n2026-11-01,sms,1,1", FORM, "2: column 'Day' must lie in the span"),
    "an instant after the span": (f"{HEADER}\n2026-10-31T23:00:00Z,sms,1,1", FORM, "2: column 'Day' must lie in"),
    "no channel": (f"{HEADER}\n2026-10-20, ,1,1", FORM, "2: column 'Kind' is empty; --skip leaves out"),
    "thousands that nobody named": (
        f'{HEADER}\n2026-10-20,sms,1,"1,234"', FORM,
        "2: column 'Net amount' must be a number like -1234.5, not '1,234'; --decimal and --thousands say how",
    ),
    "groups of two": (
        f'{HEADER}\n2026-10-20,sms,"12,34",1', replace(FORM, thousands=","),
        "2: column 'Messages' must be a number like 1,234.5 or -1234.5, not '12,34'",
    ),
    "four digits before a group": (
        f'{HEADER}\n2026-10-20,sms,"1234,567",1', replace(FORM, thousands=","), "column 'Messages' must be a number",
    ),
    "groups after the decimals": (
        f'{HEADER}\n2026-10-20,sms,1,"1.234,567"', replace(FORM, thousands=","), "column 'Net amount' must be a number",
    ),
    "a count with decimals": (f"{HEADER}\n2026-10-20,sms,1.0,1", FORM, "2: column 'Messages' must be a whole number"),
    "a count that is none": (f"{HEADER}\n2026-10-20,sms,none,1", FORM, "2: column 'Messages' must be a number"),
    "an empty cost": (f"{HEADER}\n2026-10-20,sms,1,", FORM, "2: column 'Net amount' must be a number"),
    "a currency": (f"{HEADER}\n2026-10-20,sms,1,$1", FORM, "column 'Net amount' must be a number"),
    "an exponent": (f"{HEADER}\n2026-10-20,sms,1,1e3", FORM, "column 'Net amount' must be a number"),
    "infinity": (f"{HEADER}\n2026-10-20,sms,1,inf", FORM, "column 'Net amount' must be a number"),
    "digits of another script": (f"{HEADER}\n2026-10-20,sms,٣,1", FORM, "column 'Messages' must be a number"),
    "a point without decimals": (f"{HEADER}\n2026-10-20,sms,1,1.", FORM, "column 'Net amount' must be a number"),
    "a sign alone": (f"{HEADER}\n2026-10-20,sms,1,-", FORM, "column 'Net amount' must be a number"),
    "more digits than Python reads": (f"{HEADER}\n2026-10-20,sms,{'9' * 5000},1", FORM, "column 'Messages' must be a"),
    "seven decimals of a cent": (
        f"{HEADER}\n2026-10-20,sms,1,0.1234567", FORM,
        "2: column 'Net amount' has at most 6 decimals in cents, six of a cent, and '0.1234567' has 7; --cost-unit",
    ),
    "nine decimals of a unit": (
        f"{HEADER}\n2026-10-20,sms,1,0.123456789", replace(FORM, cost_unit="units"), "has at most 8 decimals in units",
    ),
    "an unclosed quote": (f'{HEADER}\n{LINE}\n2026-10-20,"sms,1,1\n{LINE}\n', FORM, '3: a quote (") is opened in it'),
    "text behind a quote": (f'{HEADER}\n2026-10-20,"sms"x,1,1', FORM, '2: its quotes (") do not match'),
    "a cell without an end": (f'{HEADER}\n2026-10-20,"' + "x" * 200_000, FORM, "2: it has a cell of more than 131072"),
    "a line without an end": (f"{HEADER}\n" + "x" * (LONGEST_LINE + 1), FORM, f"2: has more than {LONGEST_LINE} char"),
    "a NUL": (f"{HEADER}\n{LINE}\n2026-10-20,s\0ms,1,1", FORM, "3: holds a NUL, which no text does; --encoding"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_one_bad_line_refuses_the_file_by_line_column_and_rule(what: str) -> None:
    content, form, said = BAD[what]
    assert said in refusal(content, form)


def bad_bytes() -> Iterator[tuple[bytes, str, str]]:
    good = f"{HEADER}\n{LINE}\n"
    yield (
        good.encode() + b"2026-10-20,caf\xe9,1,1\n",
        "utf-8",
        "3: holds bytes that are not utf-8 (at 0xe9); --encoding",
    )
    yield good.encode() + b"\xf0\x9f", "utf-8", "3: ends in the middle of a character of utf-8"
    yield good.encode("utf-16"), "utf-8", "1: holds bytes that are not utf-8 (at 0xff); it begins as utf-16 does"
    yield good.encode("utf-16") + b"x", "utf-16", "3: ends in the middle of a character of utf-16"
    yield good.encode("utf-16-le"), "utf-8", "1: holds a NUL, which no text does; --encoding utf-16-le"
    yield good.encode() + b"2026-10-20,\x81,1,1\n", "cp1252", "3: holds bytes that are not cp1252 (at 0x81)"
    shifted = good.encode("ascii") + b"\x1b$B\x24\x22"  # the state in which the text ends is not that of its start
    yield shifted + b"\xff\n", "iso2022_jp", "3: holds bytes that are not iso2022_jp (at 0xff)"
    yield good.encode("ascii") + b"\xff\n", "iso2022_jp", "3: holds bytes that are not iso2022_jp (at 0xff)"


@pytest.mark.parametrize(("content", "encoding", "said"), list(bad_bytes()))
def test_bytes_of_another_encoding_refuse_the_file(content: bytes, encoding: str, said: str) -> None:
    assert said in refusal(content, replace(FORM, encoding=encoding))


@given(st.binary(max_size=60), st.sampled_from(ENCODINGS), st.booleans())
def test_any_bytes_are_read_or_refused_with_a_sentence(garbage: bytes, encoding: str, has_header: bool) -> None:
    content = f"{HEADER}\n{LINE}\n".encode(encoding) + garbage if has_header else garbage
    with contextlib.suppress(Usage):  # any other error is a bug
        read(content, replace(FORM, encoding=encoding), block=5)


@given(st.text(st.sampled_from('0123456789.,-+ "\n'), max_size=12))
def test_no_number_is_read_as_another_one(text: str) -> None:
    """What is read as a number is one that Python reads as the same, thousands taken out."""
    form = replace(FORM, thousands=",")
    try:
        micros = form.cost(text)
    except ValueError:
        return
    assert micros == round(float(text.replace(",", "")) * 10**6)
    first, *others = text.partition(".")[0].strip("+-").split(",")
    assert all(len(group) == 3 for group in others)
    assert not others or 1 <= len(first) <= 3


def test_however_many_lines_take_the_same_memory() -> None:
    line = b"2026-10-20,sms,1,0.5\n"
    count = 20_000
    blocks = iter([f"{HEADER}\n".encode(), *[line * 1000] * (count // 1000)])
    tracemalloc.start()
    found = read_invoice("x", blocks, FORM, DAYS)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.cells == {(DAYS.all[0], "sms"): Numbers(count, count * 500_000)}
    assert most < 2 << 20
