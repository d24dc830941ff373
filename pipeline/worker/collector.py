"""Python's garbage collector, as a worker needs it."""

import gc

COLLECTOR_THRESHOLDS = (50_000, 20, 50)
"""Python's default looks for cycles after every 700 records, which costs more than reading them from the fetch."""


def spare_the_collector() -> None:
    """Have the garbage collector come rarely, and never look at what was there from the start.

    A record is an object with a list for its headers, held until it is durable: all that the collector counts, and
    nothing that it looks for.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
