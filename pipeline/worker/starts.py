"""Reads what decides where reading begins, has core decide, and reports it."""

import logging
from collections.abc import Mapping, Sequence

from pipeline.clickhouse.store import Store
from pipeline.core.place import Place
from pipeline.core.progress import Started
from pipeline.core.protocol import start_steps
from pipeline.core.start import Gap, Offsets, Start, Stored, choose_start, incarnation_of
from pipeline.runner import drive

log = logging.getLogger(__name__)


class Starts:
    """Chooses starting points. Blocks; raises SinkUnavailable or Stop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def choose(self, offsets: Mapping[Place, Offsets]) -> dict[Place, Start | Gap]:
        """The start of every partition, by what Kafka and ClickHouse know of it; a Gap where nobody accepted it.

        Reported before anything is read, so that commands that only look at ClickHouse know the Kafka cluster of
        whatever they find there. Every start is stored, so that it holds `as_of`; a first one, and one of a topic made
        anew, with its offset: otherwise what is deleted before the first flush would be no gap, and the old topic's
        progress and losses the new one's.
        """
        stored, gaps = self._store.read_stored(), self._store.read_gaps()
        choices = {p: self._choose(p, known, stored.get(p), gaps.get(p, ())) for p, known in offsets.items()}
        for p, choice in choices.items():
            if isinstance(choice, Start):
                self._store.begin_incarnation(p, incarnation_of(p, offsets[p].topic_id, choice, stored))
        self._store.topic_ids.update({p: known.topic_id for p, known in offsets.items()})
        starts = {p: choice for p, choice in choices.items() if isinstance(choice, Start)}
        first = {p: s.offset for p, s in starts.items() if s.recreated or p not in stored}
        started = [Started(p, first.get(p, 0), max(offsets[p].partitions, p.number + 1)) for p in sorted(starts)]
        rows = [(p, "starting", start.offset, offsets[p].log_end) for p, start in starts.items()]
        self._store.report_partitions(rows)  # first: who retires a topic looks for reports behind its progress
        drive(start_steps(started), self._store.perform)
        return choices

    def _choose(self, place: Place, known: Offsets, stored: Stored | None, gaps: Sequence[Gap]) -> Start | Gap:
        choice = choose_start(known, stored, gaps)
        if isinstance(choice, Start) and choice.recreated:
            log.warning("partition %s is of a topic that was made anew, or ends below what was read of it", place)
        return choice
