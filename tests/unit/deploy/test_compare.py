"""``compare`` reads `as_of` before the numbers: a bucket that is closed between two reads must not look complete."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from deploy.cli.compare import DAYS_A_STATEMENT, Asked, answered
from deploy.cli.comparing import Numbers
from deploy.cli.invoice_file import Invoice
from deploy.cli.invoice_form import Columns
from deploy.cli.main import run
from deploy.cli.zone_days import Days, days_of, midnight_of
from pipeline.core.effects import Effect, ReadState, State, Synchronise
from schemas.grain import MS_PER_SECOND

UTC = ZoneInfo("UTC")
FIRST = date(2026, 10, 1)


class Recorder:
    """A store that answers `as_of`, a row for each day that is asked for, and in which order it was asked."""

    def __init__(self, as_of_ms: int) -> None:
        self.asked: list[Any] = []
        self._state = State(as_of_ms)

    def perform(self, effect: Effect) -> Any:
        self.asked.append(effect)
        return self._state if isinstance(effect, ReadState) else None

    def rows(self, doing: str, statement: str, /, **parameters: Any) -> list[Any]:
        self.asked.append(parameters)
        return [[start, "sms", 1, 0, 0, Decimal("0.25")] for start in parameters["starts"] if start < parameters["end"]]


def test_one_standard_input_is_no_two_files(capfd: pytest.CaptureFixture[str]) -> None:
    words = "compare - --map - --org a --columns date=d,channel=k,cost=c --from 2026-10-01T00:00:00Z"
    assert run([*words.split(), "--to", "2026-10-02T00:00:00Z"]) == 2
    assert "are both standard input, which is read once" in capfd.readouterr().err


def test_a_spreadsheet_is_said_to_be_one(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "invoice.xlsx").write_bytes(b"PK\x03\x04 and more")
    words = "--org a --columns date=d,cost=c --from 2026-10-01T00:00:00Z --to 2026-10-02T00:00:00Z"
    assert run(["compare", str(tmp_path / "invoice.xlsx"), *words.split()]) == 2
    assert "a spreadsheet (.xlsx, .ods) has to be saved as CSV" in capfd.readouterr().err


def span(days: int) -> Days:
    return days_of(UTC, midnight_of(UTC, FIRST), midnight_of(UTC, FIRST + timedelta(days=days)))


@pytest.mark.parametrize("days", [1, DAYS_A_STATEMENT, DAYS_A_STATEMENT + 1, 400])
def test_as_of_is_read_once_before_any_number_and_each_day_is_asked_for_once(days: int) -> None:
    asked = Asked("acme", span(days), Columns("d", "ch", "n", "c"), "sent", 0, False)
    store: Any = Recorder(asked.days.end * MS_PER_SECOND)
    answer = answered(store, asked, Invoice({}, 0, 0))
    first, second, *reads = store.asked
    assert (type(first), type(second)) == (Synchronise, ReadState)
    assert [start for read in reads for start in read["starts"]] == asked.days.starts
    assert [(read["start"], read["end"]) for read in reads][-1][1] == asked.days.end
    assert all(one["end"] == other["start"] for one, other in pairwise(reads))
    assert answer.comparison.total.ours == Numbers(days, days * 250_000)
    assert not answer.comparison.open_days


def test_what_is_beyond_as_of_is_not_asked_for() -> None:
    asked = Asked("acme", span(62), Columns("d", count="n"), "sent", 0, False)
    as_of = asked.days.starts[2] + 3600 + 1800
    store: Any = Recorder(as_of * MS_PER_SECOND + 999)
    answer = answered(store, asked, Invoice({}, 0, 0))
    reads = store.asked[2:]
    assert [read["end"] - read["start"] for read in reads] == [2 * 86_400 + 3600, 0]
    assert len(answer.comparison.open_days) == 60
