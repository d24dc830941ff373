"""Performs the effects of statements on ClickHouse."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pipeline.clickhouse.client import sql
from pipeline.clickhouse.deletions import Deletions
from pipeline.clickhouse.erasing import ErasingStore
from pipeline.clickhouse.inserts import Inserts
from pipeline.core.effects import UnderWay
from pipeline.core.statements.document import Cell, Numbers
from pipeline.core.statements.history import (
    AppendStatements,
    EraseStatements,
    LinesByOrganization,
    ReadDocuments,
    ReadLines,
    ReadRestored,
    ReadStatable,
    ReadStatements,
    ReadStating,
    Statable,
    Statement,
)
from schemas import tables
from schemas.grain import MS_PER_SECOND
from schemas.instant import utc
from schemas.limits import SURELY_SEEN_SECONDS

DOING = "reading or writing statements"
US_PER_SECOND = 1_000_000
COLUMNS = (
    "org_id", "period", "revision", "sha256", "previous", "partial", "as_of", "generation", "software", "document"
)  # fmt: skip


class StatingStore(ErasingStore):
    """ClickHouse for statements: one method for each effect, which ``Store`` chooses by the effect's type."""

    def read_statable(self, effect: ReadStatable) -> Statable:
        p = effect.period
        ((first, is_there),) = self.rows(DOING, sql("statements/first_rollup"))
        rows = self.rows(DOING, sql("statements/statable"), start=p.start, end=p.end, org=effect.org_id)
        return Statable(int(first) * MS_PER_SECOND if is_there else None, {org: int(lines) for org, lines in rows})

    def read_lines(self, effect: ReadLines) -> LinesByOrganization:
        p, found = effect.period, dict[str, dict[Cell, Numbers]]()
        where = {"start": p.start, "end": p.end, "orgs": list(effect.org_ids)}
        for org, day, channel, code, *numbers in self.rows(DOING, sql("statements/lines"), **where):
            found.setdefault(org, {})[Cell(day, channel, code or None)] = Numbers(*numbers)
        return found

    def read_statements(self, effect: ReadStatements) -> tuple[Statement, ...]:
        rows = self.rows(DOING, sql("statements/list"), period=effect.period, org=effect.org_id)
        return tuple(Statement(*row) for row in rows)

    def read_restored(self, effect: ReadRestored) -> int:
        return int(self.rows(DOING, sql("statements/restored"))[0][0])

    def read_documents(self, effect: ReadDocuments) -> Mapping[str, bytes]:
        asked: dict[str, Any] = {
            "periods": sorted({s.period for s in effect.statements}),
            "orgs": sorted({s.org_id for s in effect.statements}),
            "hashes": sorted({s.sha256 for s in effect.statements}),
        }
        rows = self.rows(DOING, sql("statements/documents"), **asked) if effect.statements else ()
        return {sha256: document.encode() for sha256, document in rows}

    def append_statements(self, effect: AppendStatements) -> None:
        software = version("message-metrics")
        rows = [
            (
                draft.head.org, draft.head.period, draft.head.revision, draft.sha256, draft.head.previous or "",
                draft.head.partial, utc(draft.as_of_ms), draft.generation, software, draft.document.decode(),
            )
            for draft in effect.drafts
        ]  # fmt: skip
        self.insert(DOING, tables.STATEMENTS, COLUMNS, rows)

    def erase_statements(self, effect: EraseStatements) -> None:
        where = {"org": effect.org_id, "first_kept": effect.first_kept}
        Deletions(self).delete("statements/delete", tables.STATEMENTS, **where)

    def read_stating(self, effect: ReadStating) -> UnderWay:
        """On one server those that it lists; elsewhere none once the newest is old enough for all before it to have
        ended."""
        inserts = Inserts(self.rows, self.endpoint.cluster)
        if not inserts.are_unlisted:
            return inserts.under_way()
        ((age_us,),) = self.rows(DOING, sql("statements/age"), since_us=effect.newest_us)
        left = min(SURELY_SEEN_SECONDS, SURELY_SEEN_SECONDS - int(age_us) / US_PER_SECOND)
        return inserts.over_in(left)
