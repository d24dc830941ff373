"""Watches for events that are sent for more than one time under one id and type: each is counted, and billed.

Only for looking, and bounded whatever the load: it scans the newest closed hour, or its last SCANNED_FACTS facts, and
samples the identities where there are many. `reconcile` names the events.
"""

import asyncio
import logging
import math
from collections.abc import Callable

from pipeline import metrics
from pipeline.core.looking import Look
from pipeline.errors import SinkUnavailable, Stop
from schemas.grain import MS_PER_SECOND, Grain

log = logging.getLogger(__name__)

WATCH_SECONDS = 300.0
RETRY_SECONDS = 10.0
SPAN_SECONDS = Grain.HOUR.seconds
SCANNED_FACTS = 20_000_000
HELD_IDENTITIES = 1_000_000


def count_violations(look: Look, as_of_ms: int) -> float:
    """Estimate how many there are in the newest hour below ``as_of_ms``; NaN where it cannot be told. Blocks."""
    end = Grain.MINUTE.floor(as_of_ms // MS_PER_SECOND)
    if end < SPAN_SECONDS:
        return math.nan
    ((since, facts, all_facts),) = look("look/violation_span", start=end - SPAN_SECONDS, end=end, limit=SCANNED_FACTS)
    if not facts:
        return math.nan if all_facts else 0.0
    parts = 1 + facts // HELD_IDENTITIES
    ((found,),) = look("look/violation_count", start=since, end=end, parts=parts)
    return float(parts * found)


async def watch_violations(
    is_mine: Callable[[], bool],
    as_of_ms: Callable[[], int],
    look: Look,
    *,
    pause_seconds: float = WATCH_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
) -> None:
    """Keep the metric while ``is_mine`` says that this worker is the one to do so. Never returns.

    The metric is NaN where another worker looks and where ClickHouse does not answer, which is no reason to stop.
    """
    while True:
        found = math.nan
        if is_mine():
            try:
                found = await asyncio.to_thread(count_violations, look, as_of_ms())
            except (SinkUnavailable, Stop) as error:
                log.info("violations were not counted: %s", error)
        metrics.VIOLATIONS.set(found)
        await asyncio.sleep(retry_seconds if math.isnan(found) else pause_seconds)
