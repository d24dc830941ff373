"""What `status` says of partitions of all topics, and of one whose end an open transaction hides."""

import pytest

from deploy.cli.kafka import LogEnd
from deploy.cli.status import AcceptedGap, Status, _partition, _reasons, _unread, render
from deploy.cli.topic_progress import Report, Stored
from pipeline.core.place import Place
from pipeline.core.statements.standing import Month
from pipeline.core.watermark import reading_status
from schemas.settings import read_settings
from tests.support.places import P0, P1

REPORTED = Report(10, 1_780_000_000_000, "worker", "caught up", 10, 1_780_000_000_000)
OLD = Place("old", 0)


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
    assert "hides 3 records of message-events/0 from offset 10 on, which holds as_of" in reason
    assert _reasons(read_settings({}), 1, partitions) == []


def test_a_workers_report_says_what_is_hidden_once_all_else_is_read() -> None:
    assert [reading_status(9, 10, 3), reading_status(10, 10, 3), reading_status(10, 10, 0)] == [
        "reading",
        "3 hidden by an open transaction",
        "caught up",
    ]


def test_partitions_that_were_never_read_are_named_with_their_topics() -> None:
    partitions = [_partition(OLD, None, LogEnd(7)), _partition(P0, REPORTED, None), _partition(P1, None, None)]
    (reason,) = _reasons(read_settings({}), 1, partitions)
    assert "partitions old/0, message-events/1 were never read" in reason


def test_an_old_as_of_is_explained_by_topics_off_the_list_that_nobody_reads() -> None:
    stored = Stored(dict.fromkeys((P0, OLD, Place("ended", 0), Place("read", 0)), REPORTED), {"ended": 1})
    settings = read_settings({})
    (reason,) = _unread(settings, 1000, stored)
    assert "the topics old, read hold as_of, and nobody reads them" in reason
    being_read = Stored(stored.reports, stored.retired, {"read": ["worker"]})
    (reason,) = _unread(settings, 1000, being_read)
    assert "the topic old holds as_of, and nobody reads it" in reason
    assert _unread(settings, 1, stored) == _unread(settings, None, stored) == []


def test_lines_name_topic_and_partition_and_what_is_left_out_of_them() -> None:
    long = Place("a-topic-with-a-long-name", 12)
    found = Status(
        as_of=None,
        as_of_age_seconds=None,
        ready=True,
        reasons=[],
        generation=0,
        partitions=[_partition(P0, REPORTED, None), _partition(long, REPORTED, LogEnd(10))],
        pending_recomputes=0,
        dead_letters={},
        accepted_gaps=[AcceptedGap("message-events", 0, 3, 7, None)],
        retired=["ended"],
        groups=["another"],
    )
    lines = render(found)
    assert "gap         message-events/0, offsets 3 to 6 are lost; " in " ".join(lines)
    assert "retired     ended: left out here, and nothing waits for them" in lines
    assert "groups      another write here as well" in lines
    *_, heads, first, second = lines
    assert (first.split()[0], second.split()[0]) == ("message-events/0", "a-topic-with-a-long-name/12")
    assert len({line.index(word) + len(word) for line, word in ((heads, "next offset"), (second, " 10"))}) == 1
    row = found.as_json()["partitions"]
    assert isinstance(row, list)
    assert (row[1]["topic"], row[1]["partition"]) == long


def test_months_are_told_once_one_is_stated_with_what_is_to_be_done() -> None:
    def told(*months: Month) -> list[str]:
        status = Status(None, None, True, [], 0, [], 0, {}, [], months=list(months))
        return [line.removeprefix("month       ") for line in render(status) if line.startswith("month ")]

    under_way = Month("2026-11", False, 0, 7, 0)
    assert told(Month("2026-10", True, 0, 3, 0), under_way) == [], "who bills otherwise is not reminded"
    assert told(Month("2026-09", True, 4, 0, 0), Month("2026-10", True, 0, 3, 0), under_way) == [
        "2026-09 is stated of 4 organizations",
        "2026-10 is open, not of 3",
        "2026-11 is under way",
    ]
    assert told(Month("2026-10", True, 4, 1, 2)) == [
        "2026-10 is stated of 4 organizations, not of 1; 2 differ: msgmetrics statements adjust --all --period 2026-10"
    ]
