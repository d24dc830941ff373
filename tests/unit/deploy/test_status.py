"""What `status` says of a partition whose end an open transaction hides."""

from typing import Any

import pytest

from deploy.cli.kafka import LogEnd
from deploy.cli.status import _partition, _reasons
from pipeline.core.watermark import reading_status
from schemas.settings import read_settings
from tests.support.places import P0

REPORTED: tuple[Any, ...] = (10, 1_780_000_000_000, "worker", "caught up", 10, 1_780_000_000_000)
"""Next offset, watermark, owner, status, log end offset and time, as a worker last reported."""


@pytest.mark.parametrize(
    ("end", "status", "lag"),
    [
        (LogEnd(10), "caught up", 0),
        (LogEnd(10, hidden=3), "3 hidden by an open transaction", 0),
        (LogEnd(12, hidden=3), "reading", 2),
        (None, "caught up", 0),
    ],
)
def test_a_partition_is_not_called_caught_up_while_records_are_hidden(
    end: LogEnd | None, status: str, lag: int
) -> None:
    found = _partition(P0, REPORTED, end)
    assert (found.status, found.lag) == (status, lag)


def test_an_old_as_of_is_explained_by_the_transaction_that_holds_it_and_a_young_one_needs_no_reason() -> None:
    partitions = [_partition(P0, REPORTED, LogEnd(10, hidden=3))]
    (_, reason) = _reasons(read_settings({}), 1000, partitions)
    assert "hides 3 records of partition 0 from offset 10 on, which holds as_of" in reason
    assert _reasons(read_settings({}), 1, partitions) == []


def test_a_workers_report_says_what_is_hidden_once_all_else_is_read() -> None:
    assert [reading_status(9, 10, 3), reading_status(10, 10, 3), reading_status(10, 10, 0)] == [
        "reading",
        "3 hidden by an open transaction",
        "caught up",
    ]
