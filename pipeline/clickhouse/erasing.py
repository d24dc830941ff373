"""Performs the effects of erasures on ClickHouse."""

from typing import Any

from pipeline.clickhouse.client import sql
from pipeline.clickhouse.deletions import Deletions
from pipeline.clickhouse.inserts import Inserts
from pipeline.clickhouse.progress import PROGRESS, ProgressStore
from pipeline.core.effects import (
    AwaitInserts,
    Erased,
    EraseRollups,
    EraseRows,
    Erasures,
    FindErased,
    FinishErasure,
    OrderErasure,
    ReadErasures,
    ReadInserts,
    UnderWay,
)
from schemas import tables
from schemas.grain import Grain


class ErasingStore(ProgressStore):
    """ClickHouse for erasures: one method for each effect, which ``Store`` chooses by the effect's type."""

    def read_erasures(self, effect: ReadErasures) -> Erasures:
        return self._erasures("erasure/list")

    def find_erased(self, effect: FindErased) -> Erasures:
        found = dict(self._erasures("erasure/find"))
        for grain in Grain:
            target = tables.rollup_table(grain)
            found |= self._erasures("erasure/find_rollups", target=target, floor_ms=effect.floor_ms)
        return found

    def _erasures(self, name: str, **parameters: Any) -> Erasures:
        return {org: int(at_ms) for org, at_ms in self.rows(PROGRESS, sql(name), **parameters)}

    def order_erasure(self, effect: OrderErasure) -> None:
        self.write(PROGRESS, sql("erasure/order"), org=effect.org_id, at_ms=effect.at_ms)

    def erase_rows(self, effect: EraseRows) -> Erased:
        place = {"org": effect.org_id, "at_ms": effect.at_ms}
        announcement, _ = self._announcement(effect.org_id)
        (numbers,) = self.rows(PROGRESS, sql("erasure/count_rows"), **place)
        rows = sum(int(number) for number in numbers)
        if rows or not announcement:
            self.write(PROGRESS, sql("erasure/announce"), **place)
        for table, number in zip((tables.FACTS, tables.DEAD_LETTERS), numbers, strict=True):
            if number:
                Deletions(self).delete("erasure/delete_rows", table, **place)
        return Erased(announcement, rows)

    def erase_rollups(self, effect: EraseRollups) -> int | None:
        org, table = effect.org_id, tables.rollup_table(effect.grain)
        if self._announcement(org)[0] > effect.announcement:
            return None
        self.write(PROGRESS, sql("erasure/announce"), org=org, at_ms=0)
        announcement, ordered_ms = self._announcement(org)
        where = {"org": org, "floor_ms": effect.floor_ms, "ordered_ms": ordered_ms}
        Deletions(self).delete("erasure/delete_rollup", table, **where)
        return announcement

    def _announcement(self, org_id: str) -> tuple[int, int]:
        """The newest announcement of an organization's erasure, and when it was ordered; 0 before the first."""
        ((announced, ordered_ms),) = self.rows(PROGRESS, sql("erasure/announcement"), org=org_id)
        return int(announced), int(ordered_ms)

    def finish_erasure(self, effect: FinishErasure) -> None:
        self.write(PROGRESS, sql("erasure/finish"), org=effect.org_id, announcement=effect.announcement)

    def read_inserts(self, effect: ReadInserts) -> UnderWay:
        return Inserts(self.rows, self.endpoint.cluster).under_way()

    def await_inserts(self, effect: AwaitInserts) -> bool:
        return Inserts(self.rows, self.endpoint.cluster).have_ended(effect.under_way)
