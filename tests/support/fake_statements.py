"""Statements in memory: the part of the fake store that knows of them. An append is seen as a whole or not at all."""

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pipeline.core.effects import UnderWay
from pipeline.core.statements.document import NOTHING, Cell, Numbers
from pipeline.core.statements.history import (
    AppendStatements,
    Draft,
    EraseStatements,
    ReadDocuments,
    ReadLines,
    ReadRestored,
    ReadStatable,
    ReadStatements,
    ReadStating,
    Statable,
    Statement,
    StatementEffect,
)
from schemas.grain import MS_PER_SECOND, Grain
from schemas.message_event import MICROS_PER_CENT
from schemas.period import Period, day_name, parse_period
from tests.support.fake_progress import FakeProgress
from tests.support.fake_rows import Fact, Row

US_PER_MS = 1000
SOFTWARE = "fake"
APPENDING = 8
"""Steps that an append takes, so that two of them may overtake each other."""


def lines_of(facts: Iterable[Fact]) -> dict[Cell, Numbers]:
    """The lines of a statement of these facts."""
    lines: dict[Cell, Numbers] = {}
    for _, _, kind, channel, code, micros, occurred_ms in facts:
        cell = Cell(day_name(occurred_ms // MS_PER_SECOND), channel, code or None)
        sent, delivered, failed, charged = (int(kind == known) for known in (1, 2, 3, 4))
        numbers = Numbers(sent, delivered, failed, charged, Decimal(micros) / MICROS_PER_CENT)
        lines[cell] = lines.get(cell, NOTHING).plus(numbers)
    return lines


@dataclass
class FakeStatements(FakeProgress):
    """Rows of statements with their documents, in the order in which they were seen."""

    rollups: dict[Grain, dict[tuple[str, int], Row]] = field(default_factory=lambda: {g: {} for g in Grain})
    statements: list[tuple[Statement, bytes]] = field(default_factory=list)
    restored_ms: int = 0
    under_way: set[str] = field(default_factory=set)

    def _statement(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def steps_of_statements(self, effect: StatementEffect) -> Generator[None, None, Any]:
        """Do an effect in steps between which others may act."""
        match effect:
            case ReadStatable(period=period, org_id=org_id):
                minutes = [bucket for _, bucket in self.rollups[Grain.MINUTE]]
                whole = [s for s, _ in self.statements if s.revision == 1 and not s.partial and s.as_of_ms]
                minutes += [parse_period(statement.period).start for statement in whole]
                sizes: dict[str, int] = {}
                for org, row in self._days(period):
                    if org_id in ("", org) and row.facts:
                        sizes[org] = sizes.get(org, 0) + len(lines_of(row.facts))
                return Statable(min(minutes) * MS_PER_SECOND if minutes else None, sizes)
            case ReadLines(period=period, org_ids=org_ids):
                found: dict[str, dict[Cell, Numbers]] = {}
                for org, row in self._days(period):
                    if org in org_ids and row.facts:
                        found.setdefault(org, {}).update(lines_of(row.facts))
                return found
            case ReadRestored():
                return self.restored_ms
            case ReadStatements(period=name, org_id=org_id):
                known = [statement for statement, _ in self.statements]
                return tuple(s for s in known if name in ("", s.period) and org_id in ("", s.org_id))
            case ReadDocuments(statements=wanted):
                hashes = {s.sha256 for s in wanted}
                return {s.sha256: document for s, document in self.statements if s.sha256 in hashes}
            case AppendStatements(drafts=drafts):
                with self._statement():
                    began_us = self.clock_ms() * US_PER_MS + self.clock
                    rows = [(_row(draft, began_us), draft.document) for draft in drafts]
                    for _ in range(APPENDING):
                        yield
                    self.statements += rows
                    yield
            case ReadStating():
                return UnderWay(frozenset(self.under_way))
            case EraseStatements(org_id=org_id, first_kept=first_kept):
                self.statements = [
                    (s, document) for s, document in self.statements if s.org_id != org_id or s.period >= first_kept
                ]
        return None

    def _days(self, period: Period) -> list[tuple[str, Row]]:
        days = self.rollups[Grain.DAY].items()
        return [(org, row) for (org, bucket), row in sorted(days) if period.start <= bucket < period.end]


def _row(draft: Draft, began_us: int) -> Statement:
    head = draft.head
    return Statement(
        head.org, head.period, head.revision, began_us, draft.sha256, head.previous or "", head.partial,
        draft.as_of_ms, draft.generation, SOFTWARE,
    )  # fmt: skip
