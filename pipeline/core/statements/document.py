"""The canonical document of a statement, format 1: the same numbers are the same bytes, on any machine and for ever.

::

    {"format":1,"org":"acme","period":"2026-10","revision":1,"previous":null,"partial":false}
    {"day":"2026-10-01","channel":"sms","error_code":null,"sent":2,"delivered":1,"failed":0,"charged":1,"cost_cents":"1.450000"}
    {"sent":2,"delivered":1,"failed":0,"charged":1,"cost_cents":"1.450000"}

A head, a line per (day, channel, error code), and the totals; NDJSON in UTF-8 without a blank, every line ended by LF,
the members in this order, strings escaped as RFC 8785 has it. The lines are sorted by the UTF-8 of day, channel and
error code, no error code first. ``previous`` is the SHA-256 of the revision before, over all its bytes.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import zip_longest
from typing import Any, NamedTuple

from schemas.message_event import MAX_ORG_CHARACTERS
from schemas.period import day_start, parse_period

FORMAT = 1
COST_DECIMALS = 6
CELL = ("day", "channel", "error_code")
COUNTS = ("sent", "delivered", "failed", "charged")
NUMBERS = (*COUNTS, "cost_cents")
MAX_DIGITS = 60
"""Sums are exact: no total has more digits than this."""
LIMIT_OF_COUNTS, LIMIT_OF_REVISIONS = 2**64, 2**32
"""As the tables have room for."""
ZERO = Decimal(0)
_BEGIN = b'{"format":'
_NEXT = b"\n" + _BEGIN
_HASH, _COST = re.compile(r"[0-9a-f]{64}", re.ASCII), re.compile(r"-?\d{1,33}\.\d{6}", re.ASCII)


class Malformed(ValueError):
    """These bytes are no canonical document; the text says why."""


class Cell(NamedTuple):
    """The subject of a line: a day like 2026-10-01, a channel, and an error code or None."""

    day: str
    channel: str
    error_code: str | None


class Numbers(NamedTuple):
    """Numbers of a line, or their totals; in an adjustment each may be negative."""

    sent: int = 0
    delivered: int = 0
    failed: int = 0
    charged: int = 0
    cost_cents: Decimal = ZERO

    def plus(self, other: "Numbers", sign: int = 1) -> "Numbers":
        """The sum, or with -1 the difference."""
        with localcontext(prec=MAX_DIGITS):
            return Numbers(
                self.sent + sign * other.sent,
                self.delivered + sign * other.delivered,
                self.failed + sign * other.failed,
                self.charged + sign * other.charged,
                self.cost_cents + sign * other.cost_cents,
            )


NOTHING = Numbers()
Lines = Mapping[Cell, Numbers]


@dataclass(frozen=True, slots=True)
class Head:
    """The first line. ``previous`` is the hash of the revision before; ``partial``, that numbers from before this
    database's first rollup are missing."""

    org: str
    period: str
    revision: int
    previous: str | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A revision of a statement, whole."""

    head: Head
    lines: Lines

    def total(self) -> Numbers:
        return total(self.lines)

    def encode(self) -> bytes:
        """The canonical bytes."""
        return "".join(f"{line}\n" for line in self._lines()).encode()

    def _lines(self) -> Iterator[str]:
        head = self.head
        yield _text({
            "format": FORMAT, "org": head.org, "period": head.period, "revision": head.revision,
            "previous": head.previous, "partial": head.partial,
        })  # fmt: skip
        for cell in sorted(self.lines, key=_order):
            yield _text({**cell_members(cell), **members(self.lines[cell])})
        yield _text(members(self.total()))


def _order(cell: Cell) -> tuple[bytes, bytes, bool, bytes]:
    code = cell.error_code
    return cell.day.encode(), cell.channel.encode(), code is not None, (code or "").encode()


def cell_members(cell: Cell) -> dict[str, Any]:
    """A cell as the first members of a line."""
    return dict(zip(CELL, cell, strict=True))


def members(numbers: Numbers) -> dict[str, Any]:
    """Numbers as the members of a line or of the totals."""
    return {**dict(zip(NUMBERS, numbers, strict=True)), "cost_cents": cost_text(numbers.cost_cents)}


def _text(members: Mapping[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def cost_text(cost: Decimal) -> str:
    """Cents with six decimals; zero has no sign."""
    return f"{cost if cost else ZERO:.{COST_DECIMALS}f}"


def hash_of(document: bytes) -> str:
    """SHA-256 of all bytes of a document, in lower-case hex."""
    return hashlib.sha256(document).hexdigest()


def total(lines: Lines) -> Numbers:
    """The sum of lines."""
    found = NOTHING
    for numbers in lines.values():
        found = found.plus(numbers)
    return found


def difference(newer: Lines, older: Lines) -> dict[Cell, Numbers]:
    """Newer lines less older ones, sorted: an adjustment. A line that one side lacks is zero there."""
    cells = sorted({*newer, *older}, key=_order)
    found = ((cell, newer.get(cell, NOTHING).plus(older.get(cell, NOTHING), -1)) for cell in cells)
    return {cell: numbers for cell, numbers in found if numbers != NOTHING}


# -- reading --------------------------------------------------------------------------------------------------------


def parse(document: bytes) -> Document:
    """Read a document. Raises Malformed unless it is what ``encode`` writes, to the byte.

    So its totals are the sum of its lines, and its lines are sorted, each there once and within the period.
    """
    found, written = _read(document)
    period = parse_period(found.head.period)
    for cell in found.lines:
        if not period.start <= day_start(cell.day) < period.end:
            raise Malformed(f"{cell.day} is no day of {found.head.period}")
    if written != document:
        raise Malformed(_first_difference(written, document))
    return found


def _read(document: bytes) -> tuple[Document, bytes]:
    """The document that bytes stand for, and the bytes that it is written as."""
    try:
        head, *lines, _ = [_object(line) for line in document.decode().removesuffix("\n").split("\n")]
        if head.get("format") != FORMAT:
            raise Malformed(f"its format is {head.get('format')!r}, and this version knows format {FORMAT}")
        about = Head(head["org"], head["period"], head["revision"], head["previous"], head["partial"])
        _check_types(about)
        found = Document(about, dict(_line(line) for line in lines))
        return found, found.encode()
    except Malformed:
        raise
    except UnicodeError:
        raise Malformed("it is not UTF-8") from None
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise Malformed(
            "it is not a head, lines and totals in NDJSON as `msgmetrics statements export` writes them "
            f"({type(error).__name__}: {error})"
        ) from None


def _object(line: str) -> dict[str, Any]:
    found = json.loads(line)
    if not isinstance(found, dict):
        raise TypeError(f"{line[:40]!r} is no object")
    return found


def _check_types(head: Head) -> None:
    is_right = (
        isinstance(head.org, str)
        and 1 <= len(head.org) <= MAX_ORG_CHARACTERS
        and isinstance(head.period, str)
        and type(head.revision) is int
        and 0 < head.revision < LIMIT_OF_REVISIONS
        and (head.previous is None) == (head.revision == 1)
        and (head.previous is None or _HASH.fullmatch(head.previous) is not None)
        and type(head.partial) is bool
    )
    if not is_right:
        raise Malformed("a member of its head is of the wrong kind; only the first revision has no previous one")
    parse_period(head.period)


def _line(line: dict[str, Any]) -> tuple[Cell, Numbers]:
    cell = Cell(line["day"], line["channel"], line["error_code"])
    if not isinstance(cell.channel, str) or not (cell.error_code is None or _is_text(cell.error_code)):
        raise TypeError("a channel is text, and an error code is null or text that is not empty")
    sent, delivered, failed, charged = (_count(line[name]) for name in COUNTS)
    day_start(cell.day)
    if not _COST.fullmatch(line["cost_cents"]):
        raise ValueError(f"a cost has six decimals, unlike {line['cost_cents']!r}")
    return cell, Numbers(sent, delivered, failed, charged, Decimal(line["cost_cents"]))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < LIMIT_OF_COUNTS:
        raise TypeError(f"a count is a whole number below 2^64, not {value!r}")
    return value


def _first_difference(written: bytes, found: bytes) -> str:
    lines = zip_longest(written.split(b"\n"), found.split(b"\n"))
    number = next(n for n, (mine, theirs) in enumerate(lines, 1) if mine != theirs)
    return (
        f"it is not canonical from line {number} on: the order of lines and members, the ends of lines and the totals "
        "are as `msgmetrics statements export` writes them, and a document is never edited"
    )


def split_documents(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The documents of a file in which several stand one behind the other, each beginning with its head.

    ``blocks`` are its content, cut anywhere; no more than a document and a block are held. Raises Malformed for a file
    that does not begin with a head.
    """
    held = b""
    for block in blocks:
        *whole, held = (held + block).split(_NEXT)
        for number, part in enumerate(whole):
            yield _begun(part if number == 0 else _BEGIN + part) + b"\n"
        held = _BEGIN + held if whole else held
    yield _begun(held)


def _begun(part: bytes) -> bytes:
    if not part.startswith(_BEGIN):
        raise Malformed('it does not begin with a head, {"format":…')
    return part
