"""Looks at ClickHouse before a worker begins."""

from pipeline.clickhouse.store import Store
from pipeline.core.effects import ReadState
from pipeline.core.start import clock_skew_ms
from pipeline.errors import WrongClock
from schemas.instant import wall_clock_ms

MAX_CLOCK_SKEW_MS = 1000


def check_store(store: Store) -> None:
    """Blocks. Raises SinkUnavailable, NotMigrated, or WrongClock or another Stop."""
    store.clock_ms()  # connecting takes its time, which is no matter of the clocks
    skew_ms = clock_skew_ms(wall_clock_ms(), store.clock_ms(), wall_clock_ms())
    if abs(skew_ms) > MAX_CLOCK_SKEW_MS:
        raise WrongClock(
            f"this machine's clock differs from ClickHouse's by {skew_ms} ms, more than {MAX_CLOCK_SKEW_MS} ms; "
            "synchronise both (NTP) and start again"
        )
    store.perform(ReadState())  # raises for a database of another version
