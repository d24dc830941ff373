"""Words, options and tables of the commands on statements."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import click

from api.render import as_text_cell
from pipeline.core.statements.document import CELL, NUMBERS, Cell, Document, Numbers, cost_text
from pipeline.core.statements.history import Statement
from schemas.grain import MS_PER_SECOND
from schemas.instant import rfc3339, wall_clock_ms
from schemas.message_event import OTHER_KEY
from schemas.period import Period, month_of, parse_period

LAST, BEFORE_LAST = "last", "before-last"
COLUMNS = (*CELL, *NUMBERS)


class PeriodType(click.ParamType):
    """A month like 2026-10, or by its distance from this one."""

    name = "PERIOD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Period:
        if isinstance(value, Period):
            return value
        try:
            return named_period(str(value), wall_clock_ms())
        except ValueError as error:
            self.fail(f"{error}, or last, or before-last; not {value!r}", param, ctx)


def named_period(name: str, now_ms: int) -> Period:
    """The month of a name: like 2026-10, ``last`` for the one before this, ``before-last`` for the one before that.

    Raises ValueError with the rule.
    """
    last = month_of(now_ms // MS_PER_SECOND).before
    return {LAST: last, BEFORE_LAST: last.before}.get(name) or parse_period(name)


PERIOD = PeriodType()
PERIOD_OPTION = click.option(
    "--period", required=True, type=PERIOD, help="the month, like 2026-10; last is the month before this one"
)
PERIODS_OPTION = click.option(
    "--period", "periods", required=True, multiple=True, type=PERIOD, help="the month, like 2026-10; may be repeated"
)
PERIOD_ARGUMENT = click.argument("period", type=PERIOD)
ANY_PERIOD = click.option("--period", type=PERIOD, help="only this month, like 2026-10 or last")
REVISION = click.option("--revision", type=click.IntRange(1), help="this revision [the newest]")


def stated_at(statement: Statement) -> str:
    return rfc3339(statement.stated_at_ms) or ""


def stated(statement: Statement, size: int) -> str:
    """A sentence on a revision that was made."""
    return (
        f"stated {statement.org_id} {statement.period} as revision {statement.revision} at {stated_at(statement)}: "
        f"{size} bytes, sha256 {statement.sha256}"
    )


def table(lines: Mapping[Cell, Numbers], totals: Numbers) -> list[str]:
    """Lines as a table, with their totals below."""
    rows = [(*cell[:2], cell.error_code or "", *_texts(numbers)) for cell, numbers in lines.items()]
    rows.append(("total", "", "", *_texts(totals)))
    wide = [max(len(row[n]) for row in [COLUMNS, *rows]) for n in range(len(COLUMNS))]
    left = 3

    def line(row: tuple[str, ...]) -> str:
        cells = [
            f"{text:<{w}}" if n < left else f"{text:>{w}}" for n, (text, w) in enumerate(zip(row, wide, strict=True))
        ]
        return "  ".join(cells).rstrip()

    told = [f"{OTHER_KEY} stands for small groups of a day that has more than a rollup keeps"]
    return [line(COLUMNS), *map(line, rows), *(told if any(cell.channel == OTHER_KEY for cell in lines) else [])]


def _texts(numbers: Numbers) -> tuple[str, ...]:
    return (*(str(count) for count in numbers[:-1]), cost_text(numbers.cost_cents))


def as_csv(document: Document) -> str:
    """The lines of a document as CSV with a header, without the totals, so that a column can be summed."""
    out, head = io.StringIO(), document.head
    writer = csv.writer(out)
    writer.writerow(["org", "period", "revision", *COLUMNS])
    for cell, numbers in document.lines.items():
        code = as_text_cell(cell.error_code or "")
        about = (as_text_cell(head.org), head.period, head.revision, cell.day, as_text_cell(cell.channel), code)
        writer.writerow([*about, *_texts(numbers)])
    return out.getvalue()
