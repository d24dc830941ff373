"""Reads what decides where reading begins, has core decide, and reports it."""

import logging
from collections.abc import Mapping, Sequence

from pipeline.clickhouse.store import Store
from pipeline.core.effects import Progress, WriteProgress
from pipeline.core.place import Place
from pipeline.core.start import Gap, Offsets, Start, Stored, choose_start

log = logging.getLogger(__name__)


class Starts:
    """Chooses starting points. Blocks; raises SinkUnavailable or Stop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def choose(self, offsets: Mapping[Place, Offsets]) -> dict[Place, Start | Gap]:
        """The start of every partition, by what Kafka and ClickHouse know of it; a Gap where nobody accepted it.

        Reported before anything is read, so that commands that only look at ClickHouse know the Kafka cluster of
        whatever they find there. A first start, and one of a topic made anew, is stored as progress too: otherwise
        what is deleted before the first flush would be no gap, and the old topic's progress and losses the new one's.
        """
        stored, gaps = self._store.read_stored(), self._store.read_gaps()
        choices = {p: self._choose(p, known, stored.get(p), gaps.get(p, ())) for p, known in offsets.items()}
        self._store.topic_ids.update({p: known.topic_id for p, known in offsets.items()})
        starts = {p: choice for p, choice in choices.items() if isinstance(choice, Start)}
        first = [Progress(p, s.offset) for p, s in starts.items() if s.recreated or p not in stored]
        goes_on = [p for p, s in starts.items() if p in stored and not s.recreated]
        named = [Progress(p, stored[p].next_offset) for p in goes_on if not stored[p].topic_id and offsets[p].topic_id]
        self._store.perform(WriteProgress((*first, *named)))
        rows = [(p, "starting", start.offset, offsets[p].log_end) for p, start in starts.items()]
        self._store.report_partitions(rows)
        return choices

    def _choose(self, place: Place, known: Offsets, stored: Stored | None, gaps: Sequence[Gap]) -> Start | Gap:
        choice = choose_start(known, stored, gaps)
        if isinstance(choice, Start) and choice.recreated and stored is not None:
            log.warning(
                "partition %d is of a topic that was made anew, or ends below what was read of it", place.number
            )
            self._store.begin_incarnation(place, stored.incarnation + 1)
        return choice
