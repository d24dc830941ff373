"""The standing of months: revisions of each organization, and what should be known before they are billed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.cli.statement_texts import stated_at
from deploy.sql import sql
from pipeline.clickhouse.client import sql as pipeline_sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import ReadState, State
from pipeline.core.statements.history import History, ReadStatements, Statement, histories
from pipeline.core.statements.standing import looked_at
from schemas.period import Period, parse_period

FACTS_A_PORTION = 10_000_000
LOOKING = "looking at statements"
NEVER = History({})
Show = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """An organization's month. ``cents`` are of its newest revision. ``differs`` if that says something else than the
    rollups, of which a revision could be made; ``is_final`` when no facts are kept of the month."""

    org_id: str
    period: str
    history: History = NEVER
    cents: str = ""
    differs: bool = False
    is_final: bool = False
    dead_letters: int = 0
    violations: int = 0

    @property
    def newest(self) -> Statement | None:
        return self.history.newest if self.history.revisions else None

    @property
    def state(self) -> str:
        """In words."""
        if not self.history.revisions:
            return "open"
        return ("final" if self.is_final else "stated") + (", differs" if self.differs else "")

    def as_json(self) -> dict[str, Any]:
        return {
            "org": self.org_id,
            "period": self.period,
            "state": self.state.split(",")[0],
            "differs": self.differs,
            "cost_cents": self.cents or None,
            "revisions": [_as_json(s) for _, s in sorted(self.history.revisions.items())],
            "void": [_as_json(s) for s in self.history.void],
            "dead_letters": self.dead_letters,
            "violations": self.violations,
        }


def _as_json(statement: Statement) -> dict[str, Any]:
    return {
        "revision": statement.revision,
        "stated_at": stated_at(statement),
        "sha256": statement.sha256,
        "previous": statement.previous or None,
        "partial": statement.partial,
    }


def read_standings(store: Store, org: str, period: Period | None, show: Show) -> list[Standing]:
    """Months with a statement, and those with numbers that could be stated; of an organization and a month where
    named. ``show`` is told of progress."""
    state: State = store.perform(ReadState())
    name = period.name if period else ""
    known = histories(store.perform(ReadStatements(name, org)))
    where = looked_at(state.as_of_ms, state.facts_floor_ms)
    rows = store.rows(LOOKING, pipeline_sql("statements/standing"), org=org, **where)
    differing = {(o, p) for o, p, _, differs in rows if differs}
    open_ones = {(o, p) for o, p, is_open, _ in rows if is_open and name in ("", p)}
    totals = {str(h): str(t) for h, t in store.rows(LOOKING, pipeline_sql("statements/totals"), org=org, period=name)}
    accounts = sorted({*known, *open_ones}, key=lambda account: (account[1], account[0]))
    notes = {p: _notes(store, parse_period(p), org, show) for p in sorted({p for _, p in accounts})}
    found = []
    for account in accounts:
        history = known.get(account, NEVER)
        newest = history.newest if history.revisions else None
        letters, violations = notes[account[1]]
        found.append(
            Standing(
                *account,
                history,
                _cents(totals, newest),
                account in differing,
                parse_period(account[1]).end_ms <= state.facts_floor_ms,
                letters.get(account[0], 0),
                violations.get(account[0], 0),
            )
        )
    return found


def _cents(totals: Mapping[str, str], newest: Statement | None) -> str:
    """The cost in the last line of a document, '' where that cannot be read."""
    try:
        return str(json.loads(totals[newest.sha256])["cost_cents"]) if newest else ""
    except (ValueError, LookupError, TypeError):
        return ""


def _notes(store: Store, period: Period, org: str, show: Show) -> tuple[dict[str, int], dict[str, int]]:
    """By organization its dead letters of a month, and its events that were sent for several minutes."""
    where: dict[str, Any] = {"start": period.start, "end": period.end, "org": org}
    letters = {o: int(n) for o, n in store.rows(LOOKING, sql("cli/statement_letters"), **where)}
    facts = int(store.rows(LOOKING, pipeline_sql("reconcile/count_facts"), **where)[0][0])
    parts, violations = 1 + facts // FACTS_A_PORTION, dict[str, int]()
    for part in range(parts):
        show(f"looking for repeated ids in {period.name}", part, parts)
        for o, n in store.rows(LOOKING, sql("cli/statement_violations"), parts=parts, part=part, **where):
            violations[o] = violations.get(o, 0) + int(n)
    return letters, violations
