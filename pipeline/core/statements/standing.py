"""The standing of months: which of them may still change, and so are held against what was stated. Pure."""

from typing import Any

from schemas.grain import MS_PER_SECOND
from schemas.period import month_of


def looked_at(as_of_ms: int, facts_floor_ms: int) -> dict[str, Any]:
    """Parameters of the statements that hold months against statements: those that facts are kept of, and the one
    before, since what comes on the last day on which it may is found when the month is final."""
    first, last = month_of(facts_floor_ms // MS_PER_SECOND).before, month_of(as_of_ms // MS_PER_SECOND)
    return {"start": first.start, "end": last.end, "first": first.name, "last": last.name}
