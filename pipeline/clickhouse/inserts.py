"""Waits for inserts into our tables that are under way: they may write what they read before it was deleted.

A server lists its statements. Those of one moment are waited for by their ids, so that no clock has a part in it, and
inserts that begin later are no matter. A server lists its own alone; so on a cluster, and where several servers share
one storage behind one address (managed services), it is waited for as long as an insert of ours may take.
"""

from collections.abc import Mapping, Sequence
from time import monotonic, sleep
from typing import Any, Protocol

from pipeline.clickhouse.client import sql
from pipeline.core.effects import UnderWay
from pipeline.errors import InsertLasts
from schemas import tables
from schemas.grain import Grain
from schemas.limits import LONGEST_INSERT_SECONDS

POLL_SECONDS = 0.05
WAITED_FOR = (tables.FACTS, tables.DEAD_LETTERS, *map(tables.rollup_table, Grain), tables.STATEMENTS)
"""Tables that an erasure deletes from, and the one whose rows are told apart by the time at which inserts began."""


class Rows(Protocol):
    """Asks a query, as ``pipeline.clickhouse.client.ClickHouse.rows`` does."""

    def __call__(self, doing: str, statement: str, /, **parameters: Any) -> Sequence[Sequence[Any]]: ...


class Inserts:
    """Inserts into some tables on the server that ``rows`` asks, or in a cluster ('' for none). Every method blocks."""

    def __init__(self, rows: Rows, cluster: str, names: Sequence[str] = WAITED_FOR) -> None:
        self._rows, self._cluster, self._names = rows, cluster, names

    def under_way(self) -> UnderWay:
        """Those that are under way now."""
        if self.are_unlisted:
            return UnderWay(ended_at=monotonic() + LONGEST_INSERT_SECONDS)
        return UnderWay(frozenset(self._listed()))

    def have_ended(self, under_way: UnderWay) -> bool:
        """Whether those have ended. Pauses for a moment where they have not.

        Raises InsertLasts where one takes longer than any of ours: the same may be asked again.
        """
        if under_way.ended_at:
            left = under_way.ended_at - monotonic()
            sleep(max(0.0, min(left, POLL_SECONDS)))
            return left <= 0
        running = {query: seconds for query, seconds in self._listed().items() if query in under_way.ids}
        longest = max(running.values(), default=0.0)
        if longest > LONGEST_INSERT_SECONDS:
            raise InsertLasts(
                f"somebody's insert into this database has been running for {longest:.0f} s, longer than any of ours, "
                "and is waited for; if it does not end, end it (SHOW PROCESSLIST)"
            )
        if running:
            sleep(POLL_SECONDS)
        return not running

    def over_in(self, seconds: float) -> UnderWay:
        """Those that are over when some time has passed; none where it has."""
        return UnderWay(ended_at=monotonic() + seconds) if seconds > 0 else UnderWay()

    @property
    def are_unlisted(self) -> bool:
        """Whether the server that is asked may not list all of them: they may be under way on others."""
        return bool(self._cluster) or self._are_shared()

    def _are_shared(self) -> bool:
        rows = self._rows("looking at the tables' engines", sql("state/shared_tables"), tables=list(self._names))
        return bool(rows[0][0])

    def _listed(self) -> Mapping[str, float]:
        """Ids of the inserts under way, with the seconds since they began."""
        rows = self._rows("looking for inserts under way", sql("state/inserts"), tables=list(self._names))
        return {str(query): float(seconds) for query, seconds in rows}
