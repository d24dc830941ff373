"""Watches months that were stated: a late event makes their numbers others than those that were billed.

Only for looking: `msgmetrics statements adjust` states what has changed.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from pipeline import metrics
from pipeline.clickhouse.store import Look
from pipeline.core.statements.standing import looked_at
from pipeline.core.watermark import retention_floor
from pipeline.errors import SinkUnavailable, Stop

log = logging.getLogger(__name__)

WATCH_SECONDS = 600.0
RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Month:
    """Counts of organizations: stated, with numbers and not stated, and differing from what was stated."""

    period: str
    stated: int
    open: int
    differing: int


def read_months(look: Look, as_of_ms: int, retention_days: int) -> list[Month]:
    """Months that may still change, the newest last; none before the first watermark. Blocks."""
    if not as_of_ms:
        return []
    rows = look("look/statements", **looked_at(as_of_ms, retention_floor(as_of_ms, retention_days)))
    return [Month(period, int(stated), int(is_open), int(differing)) for period, stated, is_open, differing in rows]


async def watch_months(
    is_mine: Callable[[], bool],
    months: Callable[[], list[Month]],
    *,
    pause_seconds: float = WATCH_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
) -> None:
    """Keep the metric while ``is_mine`` says that this worker is the one to do so. Never returns.

    The metric has no series where another worker looks and where ClickHouse does not answer: no reason to stop.
    """
    while True:
        found: list[Month] | None = None
        if is_mine():
            try:
                found = await asyncio.to_thread(months)
            except (SinkUnavailable, Stop) as error:
                log.info("months were not held against statements: %s", error)
        metrics.months({month.period: month.differing for month in found or () if month.stated})
        await asyncio.sleep(retry_seconds if found is None else pause_seconds)
