"""``msgmetrics compare``: our numbers against those of a provider's invoice file."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import click

from deploy.cli.arguments import FILE, ORGANIZATION
from deploy.cli.clickhouse import with_store
from deploy.cli.compare_options import (
    COUNTS,
    SEPARATOR,
    THOUSANDS,
    CentsType,
    ColumnsType,
    DateFormatType,
    EncodingType,
    PatternType,
    ZoneType,
    check_together,
    read_channels,
)
from deploy.cli.comparing import Cell, Cells, Compared, Numbers, Verdict, add, compare_cells
from deploy.cli.comparison_text import Answer, as_document, as_text, explained
from deploy.cli.context import FROM, INSTANT, Context, check_span, say
from deploy.cli.event_file import STANDARD_INPUT, file_blocks, title_of
from deploy.cli.explain import read_facts
from deploy.cli.invoice_file import Invoice, read_invoice
from deploy.cli.invoice_form import MICRO_DECIMALS, Columns, Form
from deploy.cli.zone_days import Days, days_of
from deploy.errors import Usage
from deploy.sql import sql
from deploy.terminal import safe_json
from pipeline.clickhouse.store import Store
from pipeline.core.effects import ReadState, State, Synchronise
from schemas import tables
from schemas.grain import MS_PER_SECOND
from schemas.message_event import CHANNEL_PATTERN, MICROS_PER_CENT

DAYS_A_STATEMENT = 31
_METRICS = ("sent", "delivered", "failed")


@dataclass(frozen=True, slots=True)
class Asked:
    """The question to our side: the organization and its days, which numbers add up to the count, and what is told."""

    org: str
    days: Days
    columns: Columns
    count: str
    tolerance_micros: int
    explain: bool

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of ours that add up to the count; none where no count is compared."""
        return COUNTS[self.count] if self.count else ()


@click.command()
@click.argument("file", type=FILE)
@click.option("--org", required=True, type=ORGANIZATION, help="the organization whose numbers these are")
@FROM
@click.option("--to", "end", required=True, type=INSTANT, help="end of the span; it and --from are midnights of --zone")
@click.option(
    "--columns", required=True, type=ColumnsType(),
    help="header cells of the date, and of channel, count and cost where the file has them; a name with a comma in it "
    'is quoted, as in cost="Amount, net"',
)  # fmt: skip
@click.option("--count", type=click.Choice(list(COUNTS)), help="which of our numbers the count column is")
@click.option("--zone", type=ZoneType(), default="UTC", help="IANA zone of the file's days [UTC]")
@click.option("--cost-unit", type=click.Choice(list(MICRO_DECIMALS)), help="a unit is 100 cents, as a dollar [cents]")
@click.option("--negate", is_flag=True, help="the file writes what it charges as negative")
@click.option("--map", "map_file", type=FILE, help="lines theirs=ours of channels that have two names")
@click.option("--skip", type=PatternType(), multiple=True, help="leave out lines in which this is found, as '^Total'")
@click.option("--date-format", type=DateFormatType(), help="as Python's strptime [2026-10-31, or RFC 3339]")
@click.option("--encoding", type=EncodingType(), default="utf-8", help="encoding of the file [utf-8]")
@click.option("--separator", type=SEPARATOR, default=",", help="between cells: one character, or tab [,]")
@click.option("--decimal", type=click.Choice([".", ","]), default=".", help="before decimals [.]")
@click.option("--thousands", type=THOUSANDS, help="between thousands: one character, or space [none]")
@click.option("--tolerance", type=CentsType(), help="by how many cents the cost of a cell may differ [0]")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.option("--explain", is_flag=True, help="list the first facts of ours in each cell that differs")
@click.pass_obj
def compare(
    context: Context, file: str, org: str, start: int, end: int, zone: ZoneInfo, columns: Columns, count: str | None,
    cost_unit: str | None, negate: bool, map_file: str | None, skip: tuple[re.Pattern[str], ...],
    date_format: str | None, encoding: str, separator: str, decimal: str, thousands: str | None,
    tolerance: int | None, as_json: bool, explain: bool,
) -> None:  # fmt: skip
    """Hold a provider's numbers against ours.

    Reads the CSV file FILE (- for standard input), adds up its lines by day and channel, and prints each sum that
    differs from ours, then the totals. One line that cannot be read refuses the file. Exit code 0 only where every day
    is closed and every number equal; 1 where one differs or a day is open.

    \b
    Example, in one line:
      msgmetrics compare invoice.csv --org acme --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z \
--columns date=Day,channel=Type,count=Messages --count sent
    """
    named = {"--cost-unit": cost_unit, "--negate": negate or None, "--tolerance": tolerance}
    check_together(
        columns,
        count=count,
        cost_options=[name for name, value in named.items() if value is not None],
        channels=map_file is not None,
        decimal=decimal,
        thousands=thousands or "",
    )
    if file == map_file == STANDARD_INPUT:
        raise Usage("FILE and the file of --map are both standard input, which is read once; name one of them")
    channels = read_channels(map_file) if map_file is not None else {}
    form = Form(
        columns, encoding, separator, decimal, thousands or "", date_format or "", cost_unit or "cents", negate, skip,
        channels,
    )  # fmt: skip
    asked = Asked(org, _days(zone, start, end), columns, count or "", tolerance or 0, explain)
    with file_blocks(file) as blocks:
        invoice = read_invoice(title_of(file), blocks, form, asked.days)
    answer = with_store(context, lambda store, _: answered(store, asked, invoice), org=org)
    say(*([safe_json(as_document(answer))] if as_json else as_text(answer, title_of(file))))
    sys.exit(0 if answer.comparison.is_proof else 1)


def _days(zone: ZoneInfo, start: int, end: int) -> Days:
    check_span(start, end)
    try:
        return days_of(zone, start, end)
    except ValueError as error:
        raise Usage(str(error)) from None


def answered(store: Store, asked: Asked, invoice: Invoice) -> Answer:
    """Hold a file's cells against ours. Reads `as_of` before the numbers, which are of buckets that ended by then."""
    store.perform(Synchronise())
    state: State = store.perform(ReadState())
    ours = our_cells(store, asked, state.as_of_ms)
    comparison = compare_cells(invoice.cells, ours, asked.days, state.as_of_ms, asked.tolerance_micros)
    explanations = {}
    if asked.explain:
        explanations = {
            (cell.day, cell.channel): explained(cell.day, _facts(store, asked, cell), state.facts_floor_ms)
            for cell in comparison.having(Verdict.DIFFERS)
        }
    return Answer(asked.org, asked.days, asked.columns, asked.count, state.as_of_ms, invoice, comparison, explanations)


def our_cells(store: Store, asked: Asked, as_of_ms: int) -> Cells:
    """Our numbers by day and channel, of the buckets that ended by `as_of` (epoch milliseconds)."""
    days, cells, grain = asked.days, dict[Cell, Numbers](), asked.days.grain
    closed = grain.floor(as_of_ms // MS_PER_SECOND)
    edges = [*days.starts[::DAYS_A_STATEMENT], days.end]
    for start, end in pairwise(edges):
        rows = store.rows(
            "summing our numbers",
            sql("cli/compare_cells"),
            table=tables.rollup_table(grain),
            org=asked.org,
            start=start,
            end=max(start, min(end, closed)),
            starts=[day for day in days.starts if start <= day < end],
        )
        for cell, numbers in _read_cells(rows, asked):
            add(cells, cell, numbers)
    return cells


def _read_cells(rows: Any, asked: Asked) -> Iterator[tuple[Cell, Numbers]]:
    for day_start, channel, *counts, cost in rows:
        day = asked.days.at(int(day_start))
        assert day is not None, day_start
        found = dict(zip(_METRICS, map(int, counts), strict=True))
        count = sum(found[name] for name in asked.metrics)
        micros = int(Fraction(cost) * MICROS_PER_CENT) if asked.columns.cost else 0  # exact, as Decimal's 28 digits
        yield (day, channel if asked.columns.channel else ""), Numbers(count, micros)


def _facts(store: Store, asked: Asked, cell: Compared) -> Any:
    """The first facts of a cell that are in the numbers of it that differ, and one more than are shown."""
    if cell.channel and not CHANNEL_PATTERN.fullmatch(cell.channel):
        return []  # no event has such a channel
    types = [f"message.{name}" for name in asked.metrics if cell.difference.count]
    any_cost = cell.difference.micros != 0
    return read_facts(
        store, asked.org, cell.day.start, cell.day.end, types=types, channel=cell.channel, any_cost=any_cost
    )
