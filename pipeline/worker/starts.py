"""The choice of starting points, as far as ClickHouse has a say in it."""

import logging
from collections.abc import Callable, Mapping

from pipeline.clickhouse.store import Store
from pipeline.core.place import Place
from pipeline.core.start import Gap, Offsets, Start, Stored, choose_start
from pipeline.errors import LogGap

log = logging.getLogger(__name__)


class Starts:
    """Chooses starting points and keeps on record what an operator accepts. Blocks; raises SinkUnavailable or Stop."""

    def __init__(self, store: Store, clock_ms: Callable[[], int], *, accept_gap: bool) -> None:
        self._store, self._clock_ms, self._accept_gap = store, clock_ms, accept_gap

    def choose(self, offsets: Mapping[Place, Offsets]) -> dict[Place, Start]:
        """The start of every partition, by what Kafka and ClickHouse know of it. Raises LogGap.

        Reported before anything is read, so that commands that only look at ClickHouse know the Kafka cluster of
        whatever they find there.
        """
        stored = self._store.read_stored()
        starts = {p: self._choose(p, known, stored.get(p)) for p, known in offsets.items()}
        rows = [(p, "starting", start.offset, offsets[p].log_end) for p, start in starts.items()]
        self._store.report_partitions(rows, self._clock_ms())
        return starts

    def _choose(self, place: Place, known: Offsets, stored: Stored | None) -> Start:
        choice = choose_start(known.committed, stored, known.log_start, known.log_end)
        if isinstance(choice, Gap):
            return self._accept(place, choice)
        if choice.recreated and stored is not None:
            log.warning("partition %d ends below the stored progress: the topic was made anew", place.number)
            self._store.begin_incarnation(place, stored.incarnation + 1)
        return choice

    def _accept(self, place: Place, gap: Gap) -> Start:
        """Go on behind a gap, if an operator said so."""
        first, last = gap.from_offset, gap.to_offset - 1
        if not self._accept_gap:
            raise LogGap(
                f"partition {place.number} of {place.topic}: offsets {first} to {last} were deleted from the log "
                "before they were read; restore them, or start the worker with --accept-gap to record the loss and go "
                "on"
            )
        self._store.record_gap(place, gap)
        log.warning("accepted the loss of offsets %d to %d of partition %d", first, last, place.number)
        return Start(gap.to_offset, gap.to_offset)
