"""Data of the operations page: this process by its own metrics, and the pipeline as it stands in ClickHouse."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline import metrics
from pipeline.core.clocks import Moment
from pipeline.core.looking import Look
from pipeline.core.statements.standing import Month, read_months
from pipeline.errors import SinkUnavailable, Stop
from pipeline.worker.health import Health
from schemas.limits import FACTS_RETENTION_DAYS

HISTORY_STEP_MS = 10_000
HISTORY_STEPS = 360
"""One hour."""
MONTHS_SECONDS = 60.0
CLOSINGS, LETTERS, EXCERPT_BYTES = 12, 10, 120


@dataclass(slots=True)
class Operations:
    """Gathers the page's data. ``look`` is None until ClickHouse has answered once.

    ``listed`` are the topics of this worker.
    """

    worker: str
    health: Health
    clock: Callable[[], Moment]
    look: Look | None = None
    listed: Set[str] = frozenset()
    retention_days: int = FACTS_RETENTION_DAYS
    _months: tuple[float, list[Month]] = (-MONTHS_SECONDS, [])
    _history: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=HISTORY_STEPS))
    _began: float = field(default_factory=time.monotonic)

    def note(self) -> None:
        """Remember how old `as_of` is, at most once per step."""
        now, last_ms = self.clock(), self._history[-1][0] if self._history else 0
        if self.health.as_of_ms and now.wall_ms - last_ms >= HISTORY_STEP_MS:
            self._history.append((now.wall_ms, self.health.as_of_age_ms(now.boot_ms)))

    def now(self) -> dict[str, Any]:
        """This process, as JSON values; instants are epoch milliseconds. For the thread that ``health`` belongs to."""
        now = self.clock()
        reasons = self.health.reasons(now.boot_ms)
        as_of_ms = self.health.as_of_ms
        return {
            "now": now.wall_ms,
            "worker": self.worker,
            "ready": not reasons,
            "reasons": reasons,
            "as_of": as_of_ms or None,
            "as_of_age": self.health.as_of_age_ms(now.boot_ms) if as_of_ms else None,
            "history": list(self._history),
            "process": self._process(),
        }

    def _process(self) -> dict[str, Any]:
        """Totals since the process began; two readings make a rate."""
        return {
            "uptime_seconds": time.monotonic() - self._began,
            "events": metrics.value(metrics.EVENTS),
            "dead_letters": metrics.value(metrics.DEAD),
            "retries": metrics.value(metrics.SINK_RETRIES),
            "recomputed": metrics.value(metrics.RECOMPUTED),
            "pending_recomputes": metrics.value(metrics.PENDING),
            "stage_seconds": metrics.stage_seconds(),
        }

    def stored(self) -> dict[str, Any]:
        """State in ClickHouse, or the sentence that says why it is not known. Asks once. Blocks; for any thread."""
        if self.look is None:
            return {"stored": None, "problem": "ClickHouse has not answered yet"}
        try:
            months = [asdict(month) for month in self._recent_months(self.look)]
            return {"stored": {**_read_stored(self.look, self.listed), "months": months}, "problem": None}
        except (SinkUnavailable, Stop) as error:
            return {"stored": None, "problem": str(error)}

    def months(self, look: Look) -> list[Month]:
        """Months that may still change, as they stand in ClickHouse. Blocks; raises SinkUnavailable or Stop."""
        return read_months(look, self.health.as_of_ms, self.retention_days)

    def _recent_months(self, look: Look) -> list[Month]:
        """The same as of MONTHS_SECONDS ago at most: it reads a month of days of everybody."""
        now = time.monotonic()
        if now - self._months[0] >= MONTHS_SECONDS:
            self._months = now, self.months(look)
        return self._months[1]


def _read_stored(look: Look, listed: Set[str]) -> dict[str, Any]:
    partitions = look("look/partitions")
    return {
        "partitions": [_partition(row) for *row, is_retired in partitions if row[0] in listed or not is_retired],
        "closings": _named(
            ("closed_from", "closed_to", "generation", "worker", "duration", "closed_at"),
            look("look/closings", limit=CLOSINGS),
        ),
        "dead_letter_reasons": _named(("reason", "count", "newest"), look("look/dead_letter_reasons")),
        "dead_letters": _named(
            ("topic", "partition", "offset", "reason", "detail", "org_id", "seen_at", "size", "excerpt"),
            look("look/dead_letters", limit=LETTERS, excerpt_bytes=EXCERPT_BYTES),
        ),
    }


def _named(names: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> list[Mapping[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in rows]


def _partition(row: Sequence[Any]) -> dict[str, Any]:
    topic, partition, next_offset, watermark, owner, status, end, updated_at = row
    return {
        "topic": topic,
        "partition": partition,
        "next_offset": next_offset,
        "log_end_offset": end if updated_at else None,
        "lag": max(0, end - next_offset) if updated_at else None,
        "watermark": watermark or None,
        "status": status or "unknown",
        "owner": owner,
        "updated_at": updated_at or None,
    }
