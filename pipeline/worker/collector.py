"""Python's garbage collector, set for records that live until they are flushed."""

import gc

COLLECTOR_THRESHOLDS = (50_000, 20, 50)
"""Python's default looks for cycles after every 700 records, which costs more than reading them from the fetch."""


def spare_the_collector() -> None:
    """Freeze what was made at start, and have the garbage collector run rarely.

    Records are tracked by the collector and live until they are flushed, so that the default thresholds trigger scans
    that find no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
