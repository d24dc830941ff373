"""Watches months that were stated: a late event makes their numbers others than those that were billed.

Only for looking: `msgmetrics statements adjust` states what has changed.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from pipeline import metrics
from pipeline.core.statements.standing import Month
from pipeline.errors import SinkUnavailable, Stop

log = logging.getLogger(__name__)

WATCH_SECONDS = 600.0
RETRY_SECONDS = 10.0


def _series(months: Sequence[Month]) -> tuple[dict[str, int], dict[str, int]]:
    """By month, how many organizations differ from what was stated, and lack a statement.

    Nobody lacks one where nobody bills by them, nor of the month under way, which is the newest one.
    """
    differing = {month.period: month.differing for month in months if month.stated}
    missing = {month.period: month.open for month in months if month.has_ended} if differing else {}
    return differing, missing


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
        metrics.months(*_series(found or ()))
        await asyncio.sleep(retry_seconds if found is None else pause_seconds)
