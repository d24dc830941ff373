"""The canonical document: golden files hold format 1 for ever, and nothing that differs from it by a byte is one."""

import hashlib
import json
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.statements.document import (
    Cell,
    Document,
    Head,
    Lines,
    Malformed,
    Numbers,
    difference,
    hash_of,
    parse,
    split_documents,
    total,
)
from schemas.message_event import OTHER_KEY
from schemas.period import day_name, parse_period

FOLDER = Path(__file__).parent
GOLDEN = {file.stem: file.read_bytes() for file in sorted(FOLDER.glob("format1-*.ndjson"))}
OCTOBER = parse_period("2026-10")
FIRST, LAST = "2026-10-01", "2026-10-31"
WHOLE = Document(
    Head('ac"me \\ \x01\x1f\b\t\n\f\r\x7fé\u2028😀', "2026-10", 1),
    {
        Cell(LAST, "email", None): Numbers(1, 1, 0, 0, Decimal("0.75")),
        Cell(FIRST, "sms", "😀"): Numbers(failed=6),
        Cell(FIRST, "sms", "＝"): Numbers(failed=5, cost_cents=Decimal("-0E+3")),
        Cell(FIRST, "sms", "é"): Numbers(failed=4),
        Cell(FIRST, "sms", 'a"b'): Numbers(failed=3, cost_cents=Decimal("-1.5")),
        Cell(FIRST, "sms", "Z"): Numbers(failed=2),
        Cell(FIRST, "sms", "0"): Numbers(failed=1, cost_cents=Decimal("-0.000000")),
        Cell(FIRST, "sms", None): Numbers(sent=2**64 - 1, cost_cents=Decimal("9" * 32 + ".999999")),
        Cell(FIRST, OTHER_KEY, None): Numbers(charged=1, cost_cents=Decimal("-0.000001")),
    },
)
ADJUSTED = Document(
    Head("acme", "2026-02", 2, hash_of(GOLDEN["format1-whole"]), partial=True),
    {Cell("2026-02-28", "sms", None): Numbers(1, 0, 0, 2, Decimal("-0.5"))},
)
EMPTY = Document(Head("acme", "2026-02", 1, partial=True), {})

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)
counts = st.integers(0, 2**64 - 1)
costs = st.integers(-(10**30), 10**30).map(lambda micros: Decimal(f"{micros}e-6"))
cells = st.builds(
    Cell, st.integers(0, 30).map(lambda day: day_name(OCTOBER.start + day * 86_400)), texts, st.none() | texts
)
lines = st.dictionaries(cells, st.builds(Numbers, counts, counts, counts, counts, costs), max_size=6)


@pytest.mark.parametrize(
    ("name", "document"), [("whole", WHOLE), ("adjusted", ADJUSTED), ("empty", EMPTY)], ids=lambda x: str(x)[:8]
)
def test_format_1_is_these_bytes_for_ever(name: str, document: Document) -> None:
    assert document.encode() == GOLDEN[f"format1-{name}"]
    assert parse(GOLDEN[f"format1-{name}"]) == document


def test_the_hash_is_sha256_of_the_whole_file_as_everybody_computes_it() -> None:
    """As `sha256sum` prints it."""
    listed = "".join(f"{hash_of(data)}  {name}.ndjson\n" for name, data in GOLDEN.items())
    assert listed == (FOLDER / "format1.sha256").read_text()


@given(lines, st.booleans())
def test_any_document_reads_back_and_its_order_says_nothing(found: dict[Cell, Numbers], partial: bool) -> None:
    head = Head("acme", "2026-10", 1, None, partial)
    document = Document(head, found)
    data = document.encode()
    assert parse(data) == document
    assert Document(head, dict(reversed(found.items()))).encode() == data
    written = [json.loads(line) for line in data.splitlines()]
    order = [(x["day"].encode(), x["channel"].encode(), (x["error_code"] or "").encode()) for x in written[1:-1]]
    assert order == sorted(order)
    for name, value in written[-1].items():
        assert Fraction(value) == sum(Fraction(line[name]) for line in written[1:-1])
    assert b"-0.000000" not in data


@given(st.sampled_from(sorted(GOLDEN)), st.data())
def test_any_byte_that_is_changed_makes_it_another_document_or_none(name: str, data: st.DataObject) -> None:
    golden = bytearray(GOLDEN[name])
    golden[data.draw(st.integers(0, len(golden) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = parse(bytes(golden))
    except Malformed:
        return
    assert changed.encode() == bytes(golden)
    assert changed != parse(GOLDEN[name])


def changed(old: str, new: str) -> bytes:
    data = GOLDEN["format1-adjusted"]
    assert old.encode() in data
    return data.replace(old.encode(), new.encode(), 1)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "JSONDecodeError"),
        (b"{}\n", "not enough values"),
        (b"[1]\n[2]\n", "no object"),
        (b"\xff\n\n", "not UTF-8"),
        (b"[" * 100_000, "is not a head"),
        (changed('"org":"acme"', '"org":"\\ud800"'), "not UTF-8"),
        (changed('"format":1', '"format":2'), "its format is 2, and this version knows format 1"),
        (changed('"revision":2', '"revision":1'), "only the first revision has no previous one"),
        (changed('"revision":2', '"revision":true'), "of the wrong kind"),
        (changed('"partial":true', '"partial":1'), "of the wrong kind"),
        (changed('"period":"2026-02"', '"period":"2026-13"'), "a period is a month like 2026-10"),
        (changed("2026-02-28", "2026-02-29"), "ValueError"),
        (changed("2026-02-28", "2026-03-01"), "2026-03-01 is no day of 2026-02"),
        (changed("2026-02-28", "20260228"), "ValueError"),
        (changed('"charged":2', '"charged":3'), "not canonical from line 3 on"),
        (changed('"charged":2', '"charged":-2'), "a count is a whole number below 2.64, not -2"),
        (changed('"charged":2', '"charged":2.0'), "a count is a whole number below 2.64, not 2.0"),
        (changed('"-0.500000"', '"-0.5"'), "a cost has six decimals, unlike '-0.5'"),
        *(
            (changed('"-0.500000"', f'"{cost}"'), "six decimals")
            for cost in ("NaN", "Infinity", "half", "-5e-1", "-.5")
        ),
        (changed('"-0.500000"', "-0.500000"), "TypeError"),
        (changed('"channel":"sms"', '"channel":7'), "a channel is text"),
        (changed('"error_code":null', '"error_code":7'), "an error code is null or text that is not empty"),
        (changed('"error_code":null', '"error_code":""'), "an error code is null or text that is not empty"),
        (changed('"org":"acme"', '"org":""'), "of the wrong kind"),
        (changed('"org":"acme"', f'"org":"{"x" * 65}"'), "of the wrong kind"),
        (changed('"revision":2', '"revision":4294967296'), "of the wrong kind"),
        (changed('"previous":"5', '"previous":"G'), "of the wrong kind"),
        (
            changed('"sent":1', '"sent":18446744073709551616'),
            "a count is a whole number below 2.64, not 18446744073709551616",
        ),
        (changed('"channel":', '"chan":'), "KeyError"),
        (changed('"sent":1', '"sent": 1'), "not canonical from line 2 on"),
        (changed('"sent":1', '"more":0,"sent":1'), "not canonical from line 2 on"),
        (GOLDEN["format1-adjusted"][:-1], "not canonical from line 4 on"),
        (GOLDEN["format1-adjusted"] + b"\n", "JSONDecodeError"),
        (GOLDEN["format1-adjusted"].replace(b"\n", b"\r\n"), "not canonical from line 1 on"),
    ],
)
def test_what_is_no_document_is_refused_with_a_reason(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse(data)


def test_lines_in_another_order_or_twice_are_no_document() -> None:
    head, *rows, totals = GOLDEN["format1-whole"].splitlines(keepends=True)
    for wrong in (reversed(rows), [*rows, rows[-1]]):
        with pytest.raises(Malformed, match="not canonical"):
            parse(b"".join([head, *wrong, totals]))


@given(st.lists(st.sampled_from(sorted(GOLDEN)), min_size=1, max_size=4), st.integers(1, 500))
def test_documents_that_stand_in_one_file_are_found_again_wherever_it_is_cut(names: list[str], size: int) -> None:
    documents = [GOLDEN[name] for name in names]
    data = b"".join(documents)
    assert list(split_documents(data[at : at + size] for at in range(0, len(data), size))) == documents


@pytest.mark.parametrize("data", [b"", b"\n", b'{"day":', b'x{"format":1', b'\n{"format":1'])
def test_a_file_that_does_not_begin_with_a_head_has_no_documents(data: bytes) -> None:
    with pytest.raises(Malformed):
        [parse(part) for part in split_documents([data])]


def fractions(numbers: Numbers) -> list[Fraction]:
    return [Fraction(value) for value in (*numbers[:4], numbers.cost_cents)]


@given(st.lists(lines, min_size=2, max_size=5))
def test_adjustments_add_up_to_the_newest_less_the_first(revisions: list[dict[Cell, Numbers]]) -> None:
    sums: dict[tuple[Cell, int], Fraction] = {}
    for older, newer in pairwise(revisions):
        for cell, numbers in difference(newer, older).items():
            assert any(numbers), "nothing is no line of an adjustment"
            for n, number in enumerate(fractions(numbers)):
                sums[cell, n] = sums.get((cell, n), Fraction(0)) + number
    whole = difference(revisions[-1], revisions[0])
    found = {place: number for place, number in sums.items() if number}
    assert found == {(cell, n): number for cell, x in whole.items() for n, number in enumerate(fractions(x)) if number}


@given(lines)
def test_a_total_is_the_sum_however_large(found: Lines) -> None:
    columns = zip(*map(fractions, found.values()), strict=True)
    assert fractions(total(found)) == (list(map(sum, columns)) or [0] * 5)


def test_the_golden_files_are_what_their_hashes_were_made_of() -> None:
    for line in (FOLDER / "format1.sha256").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
