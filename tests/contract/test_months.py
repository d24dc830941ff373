"""The metric of months that differ from their statements: what it says, and who looks."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pipeline import metrics
from pipeline.core.statements.standing import Month, read_months
from pipeline.errors import SinkUnavailable
from pipeline.worker.months import watch_months
from schemas.period import month_of

AS_OF_MS = 1_780_000_000_000  # in May 2026


def told() -> tuple[dict[str, float], ...]:
    families = [next(iter(gauge.collect())) for gauge in (metrics.DIFFERING, metrics.UNSTATED)]
    return tuple({sample.labels["period"]: sample.value for sample in family.samples} for family in families)


def test_the_leader_tells_of_stated_months_and_nobody_else_of_any() -> None:
    seen: list[tuple[dict[str, float], ...]] = []
    answers: list[Any] = [
        [Month("2026-04", True, 3, 1, 2), Month("2026-03", True, 3, 0, 0), Month("2026-05", False, 0, 3, 0)],
        SinkUnavailable("ClickHouse is away"),
        [Month("2026-03", True, 0, 4, 0)],
    ]
    leads: Iterator[bool] = iter([False, True, True, True, False])

    def is_mine() -> bool:
        seen.append(told())
        try:
            return next(leads)
        except StopIteration:
            raise KeyboardInterrupt from None

    def months() -> list[Month]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(watch_months(is_mine, months, pause_seconds=0, retry_seconds=0))
    nothing: tuple[dict[str, float], ...] = ({}, {})
    some = ({"2026-04": 2, "2026-03": 0}, {"2026-04": 1, "2026-03": 0})
    assert seen[1:] == [nothing, some, nothing, nothing, nothing], "who bills otherwise is not reminded"


def test_months_from_the_one_before_the_facts_on_are_looked_at() -> None:
    asked: list[dict[str, Any]] = []

    def look(name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        assert name == "look/statements"
        asked.append(parameters)
        return [("2026-04", "3", "1", "2")]

    assert read_months(look, 0, 35) == [], "before the first watermark nothing is asked"
    assert read_months(look, AS_OF_MS, 35) == [Month("2026-04", True, 3, 1, 2)]
    (where,) = asked
    april, may = month_of(AS_OF_MS // 1000).before, month_of(AS_OF_MS // 1000)
    assert where == {"start": april.before.start, "end": may.end, "first": april.before.name, "last": may.name}
