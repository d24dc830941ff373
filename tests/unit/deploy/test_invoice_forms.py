"""A provider's file reads back as the cells that were written, in whatever form it is written."""

import csv
import io
import re
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.cli.comparing import Cell, Numbers, add
from deploy.cli.invoice_file import Invoice, read_invoice
from deploy.cli.invoice_form import Columns, Form
from deploy.cli.zone_days import days_of, midnight_of

ZONE = ZoneInfo("Europe/Berlin")
FIRST = date(2026, 10, 20)  # clocks are set on the sixth of its days
DAYS = days_of(ZONE, midnight_of(ZONE, FIRST), midnight_of(ZONE, FIRST + timedelta(days=12)))
COLUMNS = Columns("Day", "Kind", "Messages", "Net amount")
OURS = {"SMS": "sms", 'say "hi"': "whatsapp", "a;b": "email"}
CHANNELS = st.sampled_from(["sms", "SMS", "mms", 'say "hi"', "a;b", "x, y", "two\nlines", "=1+1"])
ENCODINGS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"),
    *("cp1252", "latin-1", "cp037", "gb18030", "iso2022_jp"),
)
DATE_FORMS = ("", "RFC 3339", "%d.%m.%Y", "%m/%d/%y", "%d %b %Y, %H:%M", "%Y%m%dT%H%M%S%z", "%A %d %B %Y %I:%M %p")


def grouped(digits: str, sign: str) -> str:
    """Digits with a sign between thousands, as slowly as can be."""
    return digits if len(digits) <= 3 or not sign else grouped(digits[:-3], sign) + sign + digits[-3:]


@st.composite
def forms(draw: st.DrawFn) -> Form:
    decimal = draw(st.sampled_from(".,"))
    encoding = draw(st.sampled_from(ENCODINGS))
    signs = ["", *"., '|", "\u00a0", "\u202f"]
    return Form(
        COLUMNS,
        encoding,
        draw(st.sampled_from([",", ";", "\t", "|", " ", "^"])),
        decimal,
        draw(st.sampled_from([sign for sign in signs if sign != decimal and can_write(sign, encoding)])),
        draw(st.sampled_from(DATE_FORMS)),
        draw(st.sampled_from(["cents", "units"])),
        draw(st.booleans()),
        draw(st.sampled_from([(), (re.compile("^Total"), re.compile("printed on"))])),
        draw(st.sampled_from([{}, OURS])),
    )


def can_write(text: str, encoding: str) -> bool:
    return text.encode(encoding, "replace").decode(encoding) == text


def write_date(day: date, hour: int, form: Form, draw: st.DrawFn) -> str:
    at = datetime.combine(day, time(hour, 17, 40), ZONE)
    if form.date_format == "":
        return day.isoformat()
    if form.date_format in ("RFC 3339", "%Y%m%dT%H%M%S%z"):
        instant = at.replace(tzinfo=ZONE).astimezone(
            ZoneInfo(draw(st.sampled_from(["UTC", "Asia/Kolkata", "Etc/GMT+9"])))
        )
        return instant.isoformat() if form.date_format == "RFC 3339" else instant.strftime(form.date_format)
    return at.strftime(form.date_format)


def write_cost(micros: int, form: Form) -> str:
    places = {"cents": 6, "units": 8}[form.cost_unit]
    digits = str(abs(micros)).rjust(places + 1, "0")
    whole, fraction = digits[:-places], digits[-places:].rstrip("0")
    is_minus = (micros > 0) if form.negate else (micros < 0)
    return ("-" if is_minus else "") + grouped(whole, form.thousands) + (form.decimal + fraction if fraction else "")


def write_count(count: int, form: Form) -> str:
    return ("-" if count < 0 else "") + grouped(str(abs(count)), form.thousands)


@st.composite
def files(draw: st.DrawFn) -> tuple[Form, bytes, dict[Cell, Numbers], int, int, int]:
    """A form, a file in it, its cells, how many lines it has and skips, and the size of the blocks that it comes in."""
    form = draw(forms())
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from(DAYS.all), CHANNELS, st.integers(-9, 10**10), st.integers(-(10**17), 10**17),
                      st.integers(0, 23)), max_size=5)
    )  # fmt: skip
    names = draw(st.permutations([*COLUMNS.named().items(), ("", "a note"), ("", "")]))
    out, end, skipped = io.StringIO(), draw(st.sampled_from(["\n", "\r\n", "\r"])), 0
    make = partial(csv.writer, out, delimiter=form.separator, lineterminator=end)
    write = (make(quoting=csv.QUOTE_ALL) if end == "\r" or draw(st.booleans()) else make()).writerow
    write([])
    if form.skip:
        out.write(f'was printed on "Friday" by a b{end}')
        skipped += 1
    write([name for _, name in names])
    cells: dict[Cell, Numbers] = {}
    for day, channel, count, micros, hour in rows:
        values = {
            "date": write_date(day.date, hour, form, draw),
            "channel": channel,
            "count": write_count(count, form),
            "cost": write_cost(micros, form),
            "": draw(st.sampled_from(["", "n/a", "1,5; x"])),
        }
        write([values[role] for role, _ in names])
        add(cells, (day, form.channels.get(channel, channel)), Numbers(count, micros))
    if form.skip:
        out.write(f'Total{form.separator}"of all{end}{end}')
        skipped += 1
    read_form = replace(form, date_format="") if form.date_format == "RFC 3339" else form
    content = out.getvalue().encode(form.encoding)
    return read_form, content, cells, len(rows), skipped, draw(st.sampled_from([1, 2, 7, 1 << 20]))


@given(files())
@settings(max_examples=300, deadline=None)
def test_a_file_in_any_form_reads_back_as_its_cells(
    made: tuple[Form, bytes, dict[Cell, Numbers], int, int, int],
) -> None:
    form, content, cells, lines, skipped, block = made
    blocks = (content[at : at + block] for at in range(0, len(content), block))
    assert read_invoice("x", blocks, form, DAYS) == Invoice(cells, lines, skipped)
