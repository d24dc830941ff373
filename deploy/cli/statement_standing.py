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
    violations: int | None = None

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


def read_standings(store: Store, org: str, period: Period | None, show: Show | None) -> list[Standing]:
    """Months with a statement, and those with numbers that could be stated; of an organization and a month where
    named. ``show`` is told of the progress of counting violations; None leaves that out."""
    state: State = store.perform(ReadState())
    name = period.name if period else ""
    known = histories(store.perform(ReadStatements(name, org)))
    where = looked_at(state.as_of_ms, state.facts_floor_ms)
    rows = store.rows(LOOKING, pipeline_sql("statements/standing"), org=org, **where)
    differing = {(o, p) for o, p, _, differs in rows if differs}
    open_ones = {(o, p) for o, p, is_open, _ in rows if is_open and name in ("", p)}
    totals = {str(h): str(t) for h, t in store.rows(LOOKING, pipeline_sql("statements/totals"), org=org, period=name)}
    accounts = sorted({*known, *open_ones}, key=lambda account: (account[1], account[0]))
    letters = {(o, p): int(n) for o, p, n in store.rows(LOOKING, sql("cli/statement_letters"), org=org)}
    months = {p: parse_period(p) for p in sorted({p for _, p in accounts})}
    kept = [month for month in months.values() if month.end_ms > state.facts_floor_ms]
    violations = {key: n for month in kept for key, n in _violations(store, month, org, show).items()} if show else {}
    return [
        Standing(
            *account,
            history := known.get(account, NEVER),
            _cents(totals, history),
            account in differing,
            months[account[1]] not in kept,
            letters.get(account, 0),
            violations.get(account, 0) if show else None,
        )
        for account in accounts
    ]


def _cents(totals: Mapping[str, str], history: History) -> str:
    """The cost of the newest revision, '' where there is none or it cannot be read."""
    try:
        return str(json.loads(totals[history.newest.sha256])["cost_cents"]) if history.revisions else ""
    except (ValueError, LookupError, TypeError):
        return ""


def _violations(store: Store, month: Period, org: str, show: Show) -> dict[tuple[str, str], int]:
    """Events of a month that were sent for several minutes, by account."""
    where: dict[str, Any] = {"start": month.start, "end": month.end, "org": org}
    facts = int(store.rows(LOOKING, pipeline_sql("reconcile/count_facts"), **where)[0][0])
    parts, found = 1 + facts // FACTS_A_PORTION, dict[tuple[str, str], int]()
    for part in range(parts):
        show(f"looking for repeated ids in {month.name}", part, parts)
        for o, n in store.rows(LOOKING, sql("cli/statement_violations"), parts=parts, part=part, **where):
            found[o, month.name] = found.get((o, month.name), 0) + int(n)
    return found
