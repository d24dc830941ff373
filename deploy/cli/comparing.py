"""The comparison of a provider's numbers with ours, cell by cell. Pure: what both sides have is an argument.

A cell is a day and a channel ('' where channels are not told apart); one that a side lacks is 0 there. Of a day that is
open, not wholly behind `as_of`, our numbers are those so far: its cells are shown, and are neither equal nor different.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from deploy.cli.zone_days import Day, Days
from schemas.grain import MS_PER_SECOND

Cell = tuple[Day, str]


@dataclass(frozen=True, slots=True)
class Numbers:
    """A count, and a cost in millionths of a cent; 0 where that is not compared."""

    count: int = 0
    micros: int = 0

    def __add__(self, other: "Numbers") -> "Numbers":
        return Numbers(self.count + other.count, self.micros + other.micros)

    def __sub__(self, other: "Numbers") -> "Numbers":
        return Numbers(self.count - other.count, self.micros - other.micros)


NOTHING = Numbers()
Cells = Mapping[Cell, Numbers]


class Verdict(StrEnum):
    """The outcome of a cell's comparison."""

    EQUAL = "equal"
    TOLERATED = "tolerated"
    OPEN = "open"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Compared:
    """A cell with both sides."""

    day: Day
    channel: str
    theirs: Numbers
    ours: Numbers
    verdict: Verdict

    @property
    def difference(self) -> Numbers:
        """Theirs less ours."""
        return self.theirs - self.ours


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of both sides over some cells."""

    theirs: Numbers
    ours: Numbers

    @property
    def difference(self) -> Numbers:
        """Theirs less ours."""
        return self.theirs - self.ours


@dataclass(frozen=True)
class Comparison:
    """All cells that either side has, by day and channel, and the days that are open."""

    cells: tuple[Compared, ...]
    open_days: tuple[Day, ...]

    def having(self, verdict: Verdict) -> list[Compared]:
        """The cells with a verdict."""
        return [cell for cell in self.cells if cell.verdict == verdict]

    @property
    def total(self) -> Totals:
        return _totals(self.cells)

    @property
    def closed_total(self) -> Totals:
        """The totals without open days."""
        still_open = set(self.open_days)
        return _totals(cell for cell in self.cells if cell.day not in still_open)

    @property
    def is_proof(self) -> bool:
        """Whether every day of the span is closed, and every number, and equal within the tolerance."""
        return not self.open_days and not self.having(Verdict.DIFFERS)


def compare_cells(theirs: Cells, ours: Cells, days: Days, as_of_ms: int, tolerance_micros: int) -> Comparison:
    """Hold two sides against each other. ``tolerance_micros`` is for the cost of each cell alone, never for a sum."""
    open_days = tuple(day for day in days.all if day.end * MS_PER_SECOND > as_of_ms)
    still_open = set(open_days)
    cells = (
        _compared(cell, theirs.get(cell, NOTHING), ours.get(cell, NOTHING), cell[0] in still_open, tolerance_micros)
        for cell in sorted(theirs.keys() | ours.keys())
    )
    return Comparison(tuple(cells), open_days)


def add(cells: dict[Cell, Numbers], cell: Cell, numbers: Numbers) -> None:
    """Add numbers to a cell."""
    cells[cell] = cells.get(cell, NOTHING) + numbers


def names_written_otherwise(comparison: Comparison) -> list[tuple[str, str]]:
    """Channels of theirs and of ours that the other side lacks, and that differ in case or blanks alone."""
    theirs = {cell.channel for cell in comparison.cells if cell.theirs != NOTHING}
    ours = {cell.channel for cell in comparison.cells if cell.ours != NOTHING}
    return [
        (their, our) for their in sorted(theirs - ours) for our in sorted(ours - theirs) if _plain(their) == _plain(our)
    ]


def _plain(channel: str) -> str:
    return "".join(channel.casefold().split())


def _compared(cell: Cell, theirs: Numbers, ours: Numbers, is_open: bool, tolerance_micros: int) -> Compared:
    difference = theirs - ours
    if difference == NOTHING:
        verdict = Verdict.EQUAL
    elif is_open:
        verdict = Verdict.OPEN
    elif not difference.count and abs(difference.micros) <= tolerance_micros:
        verdict = Verdict.TOLERATED
    else:
        verdict = Verdict.DIFFERS
    return Compared(*cell, theirs, ours, verdict)


def _totals(cells: Iterable[Compared]) -> Totals:
    theirs = ours = NOTHING
    for cell in cells:
        theirs, ours = theirs + cell.theirs, ours + cell.ours
    return Totals(theirs, ours)
