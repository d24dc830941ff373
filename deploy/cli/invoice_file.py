"""A provider's file of numbers, read line by line in constant memory into cells; one bad line refuses all of it.

The file is CSV: cells with one character between them, and "…" around a cell that holds it, with "" for a quote. The
first line that is not blank and not skipped is its header. Every error is a Usage that names the line and the column,
the rule and the remedy.
"""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from deploy.cli.comparing import Cell, Cells, Numbers, add
from deploy.cli.invoice_form import Form
from deploy.cli.zone_days import Days
from deploy.errors import Usage

LONGEST_LINE = 1 << 20
"""In characters."""
KNOWN_DATES = 1000
"""Dates that need not be read again: most files name each of theirs on many lines."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, slots=True)
class Invoice:
    """The cells of a file, and how many of its lines have become them and were skipped (the header is neither)."""

    cells: Cells
    lines: int
    skipped: int


class BadLine(Exception):
    """A line that breaks a rule; ``problem`` is the rule and the remedy."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(problem)
        self.number, self.problem = number, problem


def read_invoice(title: str, blocks: Iterable[bytes], form: Form, days: Days) -> Invoice:
    """Read a file, which sentences call ``title``, from its bytes. Raises Usage."""
    try:
        return _read(text_lines(blocks, form.encoding), form, days)
    except BadLine as bad:
        raise Usage(f"{title}, line {bad.number}: {bad.problem}. Nothing was compared") from None


def text_lines(blocks: Iterable[bytes], encoding: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1 and without their ends, of a file with or without a byte order mark.

    A line ends with a line feed, a carriage return, or both. Raises BadLine for bytes that are not of the encoding, for
    a NUL and for a line that is too long.
    """
    number = 0
    try:
        for number, line in enumerate(_lines(_texts(blocks, encoding)), 1):
            if "\0" in line:
                _refuse(number, "holds a NUL, which no text does; --encoding utf-16-le or utf-16-be may be the file's")
            if len(line) > LONGEST_LINE:
                _refuse(number, f"has more than {LONGEST_LINE} characters; is it a text file with line ends?")
            yield number, line
    except _Undecodable as error:
        raise BadLine(number + 1, str(error)) from None


def _refuse(number: int, problem: str) -> NoReturn:
    raise BadLine(number, problem)


class _Undecodable(Exception):
    """Bytes that are not of the encoding: the rule and the remedy."""


def _texts(blocks: Iterable[bytes], encoding: str) -> Iterator[str]:
    """Text of the blocks, without a byte order mark. Raises _Undecodable, after all text before the bad bytes."""
    decoder = codecs.getincrementaldecoder(encoding)()
    is_first = True
    for text in _decoded(blocks, decoder, encoding):
        yield text.removeprefix("\ufeff") if is_first and text else text
        is_first = is_first and not text


def _decoded(blocks: Iterable[bytes], decoder: codecs.IncrementalDecoder, encoding: str) -> Iterator[str]:
    beginning = b""
    for block in blocks:
        beginning = beginning or block[:2]
        before = decoder.getstate()
        try:
            text = decoder.decode(block)
        except UnicodeError:
            decoder.setstate(before)
            good, byte = _byte_by_byte(block, decoder)
            yield good
            problem = f"holds bytes that are not {encoding} (at 0x{byte:02x}); {_remedy(beginning)}"
            raise _Undecodable(problem) from None
        else:
            yield text
    try:
        yield decoder.decode(b"", True)
    except UnicodeError:
        raise _Undecodable(f"ends in the middle of a character of {encoding}; {_remedy(beginning)}") from None


def _byte_by_byte(block: bytes, decoder: codecs.IncrementalDecoder) -> tuple[str, int]:
    """The text of a block before the byte at which it cannot be decoded, and that byte."""
    texts: list[str] = []
    for byte in block:
        try:
            texts.append(decoder.decode(bytes([byte])))
        except UnicodeDecodeError as error:  # of a character's bytes the first one is named
            return "".join(texts), error.object[error.start]
        except UnicodeError:
            return "".join(texts), byte
    return "".join(texts), block[-1]  # a codec that judges the whole block otherwise


def _remedy(beginning: bytes) -> str:
    if beginning in _BOMS:
        return f"it begins as {_BOMS[beginning]} does, so say --encoding {_BOMS[beginning]}"
    return "--encoding names the encoding that the file is in, such as cp1252 or utf-16"


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines without their ends. Of a line that is too long comes the beginning, and then the end of all."""
    rest = ""
    for text in texts:
        rest += text
        held = "\r" if rest.endswith("\r") else ""  # a line feed may follow
        *whole, rest = _LINE_END.split(rest.removesuffix(held))
        yield from whole
        rest += held
        if len(rest) > LONGEST_LINE + 1:
            break
    *whole, rest = _LINE_END.split(rest)
    yield from whole
    if rest:
        yield rest


class _Feed:
    """Lines for the CSV reader, of which the next can be looked at. It gives each its end back, for quoted cells."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines, self._next = lines, next(lines, None)

    def peek(self) -> tuple[int, str] | None:
        """The number and the text of the next line; None at the end."""
        return self._next

    def drop(self) -> None:
        self._next = next(self._lines, None)

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if self._next is None:
            raise StopIteration
        line = self._next[1] + "\n"
        self.drop()
        return line


class _Records:
    """The records of a file with the numbers of the lines on which they begin. Raises BadLine."""

    def __init__(self, lines: Iterator[tuple[int, str]], form: Form) -> None:
        self._feed, self._skip, self.skipped = _Feed(lines), form.skip, 0
        self._reader = csv.reader(self._feed, delimiter=form.separator, strict=True)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while (upcoming := self._feed.peek()) is not None:
            number, line = upcoming
            if is_skipped := any(pattern.search(line) for pattern in self._skip):
                self.skipped += 1
            if is_skipped or not line.strip():
                self._feed.drop()
            else:
                yield number, self._record(number)

    def _record(self, number: int) -> list[str]:
        try:
            return next(self._reader)
        except csv.Error as error:
            said = str(error)
            if said == "unexpected end of data":
                _refuse(number, 'a quote (") is opened in it and never closed; --skip leaves lines out')
            if "field limit" in said:
                _refuse(number, f'it has a cell of more than {csv.field_size_limit()} characters; is a quote (") open?')
            _refuse(number, f'its quotes (") do not match ({said}); a quote inside of a quoted cell is written twice')


def _read(lines: Iterator[tuple[int, str]], form: Form, days: Days) -> Invoice:
    records = _Records(lines, form)
    each = iter(records)
    header = next(each, None)
    if header is None:
        skipped = f": all of its {records.skipped} lines are skipped" if records.skipped else ""
        _refuse(1, f"the file has no header{skipped}; its first line names the columns")
    places = _places(*header, form)
    width, cells, count = len(header[1]), dict[Cell, Numbers](), 0
    reader = _RowReader(form, days, places)
    for number, row in each:
        if len(row) != width:
            _refuse(
                number,
                f"it has {len(row)} cells and the header {width}; a cell with the separator {form.separator!a} in it "
                "is quoted, --separator says which it is, and --skip leaves lines out",
            )
        add(cells, *reader.read(number, row))
        count += 1
    return Invoice(cells, count, records.skipped)


def _places(number: int, header: list[str], form: Form) -> dict[str, int]:
    """Role to place in a row. Raises BadLine for a column that is not there, or twice."""
    names = [plain_name(cell) for cell in header]
    for name in form.columns.named().values():
        if name not in names:
            _refuse(
                number,
                f"the header has no column {name!r}, only {', '.join(map(repr, names))}; --columns names them, "
                "--separator what is between them, and --skip leaves out lines above the header",
            )
        if names.count(name) > 1:
            _refuse(number, f"the header has the column {name!r} {names.count(name)} times; rename one of them")
    return {role: names.index(name) for role, name in form.columns.named().items()}


def plain_name(cell: str) -> str:
    """A column's name, without blanks around it and with one for each run of them."""
    return " ".join(cell.split())


class _RowReader:
    """Reads rows of cells."""

    def __init__(self, form: Form, days: Days, places: dict[str, int]) -> None:
        self._form, self._places = form, places
        self._day = lru_cache(maxsize=KNOWN_DATES)(lambda text: form.day(text, days))

    def read(self, number: int, row: list[str]) -> tuple[Cell, Numbers]:
        """The cell that a row belongs to, and its numbers. Raises BadLine."""
        role = ""
        try:
            texts = {role: row[place].strip() for role, place in self._places.items()}
            role = "date"
            day = self._day(texts[role])
            role = "channel"
            channel = self._form.channel(texts[role]) if role in texts else ""
            role = "count"
            count = self._form.count(texts[role]) if role in texts else 0
            role = "cost"
            micros = self._form.cost(texts[role]) if role in texts else 0
        except ValueError as error:
            raise BadLine(number, f"column {self._form.columns.named()[role]!r} {error}") from None
        return (day, channel), Numbers(count, micros)
