"""Answers of ``msgmetrics compare``: as text for people and as a document for programs, in exact decimals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from deploy.cli.comparing import NOTHING, Cell, Compared, Comparison, Numbers, Totals, Verdict, names_written_otherwise
from deploy.cli.explain import SHOWN_FACTS, fact_lines
from deploy.cli.invoice_file import Invoice
from deploy.cli.invoice_form import Columns
from deploy.cli.zone_days import Day, Days
from pipeline.core.place import stored_place
from schemas.grain import MS_PER_SECOND
from schemas.instant import rfc3339, second
from schemas.message_event import MICROS_PER_CENT, OTHER_KEY

ALL_CHANNELS = "all"
FIELDS = (
    *("event_id", "type", "channel", "error_code", "cost_cents", "occurred_at", "record_at"),
    *("topic", "partition", "offset"),
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Facts of a cell, whether there are more, and since when they are kept where that is later than the day begins."""

    facts: Sequence[Sequence[Any]]
    has_more: bool
    kept_since_ms: int | None


def explained(day: Day, facts: Sequence[Sequence[Any]], facts_floor_ms: int) -> Explanation:
    """Facts of a cell as an explanation; ``facts`` may have one more than are shown."""
    kept_since = facts_floor_ms if facts_floor_ms > day.start * MS_PER_SECOND else None
    return Explanation(facts[:SHOWN_FACTS], len(facts) > SHOWN_FACTS, kept_since)


@dataclass(frozen=True, slots=True)
class Answer:
    """A comparison with what it was made of. ``count`` is which of our numbers the count is, '' where there is none."""

    org: str
    days: Days
    columns: Columns
    count: str
    as_of_ms: int
    invoice: Invoice
    comparison: Comparison
    explanations: Mapping[Cell, Explanation]

    @property
    def folded(self) -> list[Compared]:
        """Cells of ours that hold what was folded, so that its channels cannot be told."""
        return [cell for cell in self.comparison.cells if cell.channel == OTHER_KEY and cell.ours != NOTHING]


def cents(micros: int) -> str:
    """Millionths of a cent as a decimal of cents, without zeros at its end."""
    whole, rest = divmod(abs(micros), MICROS_PER_CENT)
    fraction = f".{rest:06}".rstrip("0").rstrip(".")
    return f"{'-' if micros < 0 else ''}{whole}{fraction}"


# -- text ---------------------------------------------------------------------------------------------------------


def as_text(answer: Answer, title: str) -> list[str]:
    """An answer as lines of text; ``title`` is what a sentence calls the file."""
    days, comparison, invoice = answer.days, answer.comparison, answer.invoice
    from_to = f"{second(days.all[0].start)} to {second(days.end)}"
    lines = [
        f"{answer.org}, {_counted(len(days.all), 'day')} of {days.zone.key}: {from_to}",
        f"ours: summed from {days.grain}s, as_of is {rfc3339(answer.as_of_ms) or 'not set'}",
        f"theirs: {title}, {_counted(invoice.lines, 'line')}, {invoice.skipped} skipped",
        "",
    ]
    shown = [cell for cell in comparison.cells if cell.verdict != Verdict.EQUAL]
    lines += _table(answer, shown)
    for cell in shown:
        if explanation := answer.explanations.get((cell.day, cell.channel)):
            lines += ["", *_explanation(cell, explanation)]
    return [*lines, "", *_sentences(answer)]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _table(answer: Answer, shown: Sequence[Compared]) -> list[str]:
    rows = [("day", "channel", "number", "theirs", "ours", "theirs - ours", "")]
    for cell in shown:
        day, channel = str(cell.day.date), cell.channel or ALL_CHANNELS
        rows += [(day, channel, *numbers, str(cell.verdict)) for numbers in _numbers(answer, cell)]
    comparison = answer.comparison
    rows += [("total", "", *numbers, "") for numbers in _numbers(answer, comparison.total)]
    if comparison.open_days:
        rows += [("of closed days", "", *numbers, "") for numbers in _numbers(answer, comparison.closed_total)]
    widths = [max(len(row[at]) for row in rows) for at in range(6)]
    return [
        "  ".join(
            text.rjust(width) if at > 2 else text.ljust(width)
            for at, (text, width) in enumerate(zip(row, (*widths, 0), strict=True))
        ).rstrip()
        for row in rows
    ]


def _numbers(answer: Answer, sides: Compared | Totals) -> Iterator[tuple[str, str, str, str]]:
    """The name, both sides and the difference of each number that is compared."""
    three = (sides.theirs, sides.ours, sides.difference)
    if answer.columns.count:
        theirs, ours, difference = (str(numbers.count) for numbers in three)
        yield answer.count, theirs, ours, difference
    if answer.columns.cost:
        theirs, ours, difference = (cents(numbers.micros) for numbers in three)
        yield "cost_cents", theirs, ours, difference


def _explanation(cell: Compared, explanation: Explanation) -> list[str]:
    lines = [
        f"ours of {cell.day.date} {cell.channel or ALL_CHANNELS}, {second(cell.day.start)} to {second(cell.day.end)}"
    ]
    if explanation.kept_since_ms is not None:
        lines.append(f"facts are kept since {rfc3339(explanation.kept_since_ms)} only; the number stays without them")
    if cell.channel == OTHER_KEY:
        lines.append("it has no facts of its own: they are those of other channels")
    return [*lines, *fact_lines(explanation.facts, has_more=explanation.has_more)]


def _sentences(answer: Answer) -> Iterator[str]:
    comparison = answer.comparison
    differing, tolerated = comparison.having(Verdict.DIFFERS), comparison.having(Verdict.TOLERATED)
    closed = len([cell for cell in comparison.cells if cell.day not in set(comparison.open_days)])
    verb = "differs" if len(differing) == 1 else "differ"
    yield (
        f"{len(differing)} of {closed} cells of closed days {verb}"
        if closed
        else "no cell of a closed day was compared"
    )
    if tolerated:
        yield f"{len(tolerated)} more {'differs' if len(tolerated) == 1 else 'differ'} in cost, within the tolerance"
    if comparison.open_days:
        yield _about_open_days(answer, comparison.open_days)
    if answer.folded:
        yield (
            f"ours has numbers under {OTHER_KEY}: the smallest groups of buckets with very many, whose channels the "
            "rollups no longer tell apart. Other cells of these days may lack them"
        )
    for theirs, ours in names_written_otherwise(comparison):
        yield f"their {theirs!r} may be our {ours!r}: a line {theirs}={ours} in a file of --map says so"


def _about_open_days(answer: Answer, days: Sequence[Day]) -> str:
    first, last, so_far = days[0].date, days[-1].date, len(answer.comparison.having(Verdict.OPEN))
    which = f"{first} is open" if len(days) == 1 else f"{len(days)} days, {first} to {last}, are open"
    return (
        f"{which}: ours is what was counted up to as_of, and {so_far} of the cells there differ so far, which proves "
        f"nothing. Compare again once as_of is {second(days[-1].end)} or later"
    )


# -- JSON ---------------------------------------------------------------------------------------------------------


def as_document(answer: Answer) -> dict[str, Any]:
    """The answer of ``compare --json``."""
    comparison, days = answer.comparison, answer.days
    return {
        "org_id": answer.org,
        "zone": days.zone.key,
        "from": second(days.all[0].start),
        "to": second(days.end),
        "as_of": rfc3339(answer.as_of_ms),
        "is_equal_and_closed": comparison.is_proof,
        "granularity": str(days.grain),
        "count": answer.count or None,
        "lines": answer.invoice.lines,
        "skipped": answer.invoice.skipped,
        "cells": len(comparison.cells),
        "open_days": [str(day.date) for day in comparison.open_days],
        "has_folded": bool(answer.folded),
        "differences": [_cell(answer, cell) for cell in comparison.having(Verdict.DIFFERS)],
        "tolerated": [_cell(answer, cell) for cell in comparison.having(Verdict.TOLERATED)],
        "open": [_cell(answer, cell) for cell in comparison.having(Verdict.OPEN)],
        "total": _sides(answer, comparison.total),
        "total_of_closed_days": _sides(answer, comparison.closed_total),
    }


def _cell(answer: Answer, cell: Compared) -> dict[str, Any]:
    document: dict[str, Any] = {
        "day": str(cell.day.date),
        "day_start": second(cell.day.start),
        "day_end": second(cell.day.end),
        "channel": cell.channel or None,
        **_sides(answer, cell),
    }
    if explanation := answer.explanations.get((cell.day, cell.channel)):
        document["facts"] = [_fact(fact) for fact in explanation.facts]
        document["has_more_facts"] = explanation.has_more
        document["facts_kept_since"] = rfc3339(explanation.kept_since_ms or 0)
    return document


def _sides(answer: Answer, sides: Compared | Totals) -> dict[str, Any]:
    three = {"theirs": sides.theirs, "ours": sides.ours, "difference": sides.difference}
    return {side: _exact(answer, numbers) for side, numbers in three.items()}


def _exact(answer: Answer, numbers: Numbers) -> dict[str, Any]:
    """The numbers that are compared, without a binary float in between."""
    found: dict[str, Any] = {}
    if answer.columns.count:
        found["count"] = msgspec.Raw(str(numbers.count).encode())
    if answer.columns.cost:
        found["cost_cents"] = msgspec.Raw(cents(numbers.micros).encode())
    return found


def _fact(fact: Sequence[Any]) -> dict[str, Any]:
    event, kind, channel, code, cost, at, record_ms, topic, partition, offset = fact
    place = stored_place(topic, partition)
    values = (
        *(event, kind, channel, code or None, msgspec.Raw(f"{cost:f}".encode()), rfc3339(int(at))),
        *(rfc3339(int(record_ms)), place.topic, place.number, offset),
    )
    return dict(zip(FIELDS, values, strict=True))
