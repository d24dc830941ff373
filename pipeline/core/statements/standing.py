"""The standing of months: which of them may still change, and so are held against what was stated."""

from dataclasses import dataclass
from typing import Any

from pipeline.core.looking import Look
from pipeline.core.watermark import retention_floor
from schemas.grain import MS_PER_SECOND
from schemas.period import month_of, parse_period


def looked_at(as_of_ms: int, facts_floor_ms: int) -> dict[str, Any]:
    """Parameters of the statements that hold months against statements: those that facts are kept of, and the one
    before, since what comes on the last day on which it may is found when the month is final."""
    first, last = month_of(facts_floor_ms // MS_PER_SECOND).before, month_of(as_of_ms // MS_PER_SECOND)
    return {"start": first.start, "end": last.end, "first": first.name, "last": last.name}


@dataclass(frozen=True, slots=True)
class Month:
    """A month, whether it is aggregated to its end, and counts of organizations: stated, with numbers and not stated,
    and differing from what was stated."""

    period: str
    has_ended: bool
    stated: int
    open: int
    differing: int


def read_months(look: Look, as_of_ms: int, retention_days: int) -> list[Month]:
    """Months that may still change, the newest last; none before the first watermark. Blocks."""
    if not as_of_ms:
        return []
    rows = look("look/statements", **looked_at(as_of_ms, retention_floor(as_of_ms, retention_days)))
    return [Month(period, parse_period(period).end_ms <= as_of_ms, *map(int, counts)) for period, *counts in rows]
