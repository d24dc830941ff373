"""Where reading starts, and the difference between two clocks that a network lies between."""

import pytest

from pipeline.core.place import Place
from pipeline.core.start import Gap, Offsets, Start, Stored, behind_gaps, choose_start, incarnation_of
from tests.support.places import P0, P1


@pytest.mark.parametrize(
    ("committed", "stored", "log", "choice"),
    [
        (None, None, (0, 10), Start(0)),
        (None, None, (4, 10), Start(4)),
        (7, None, (0, 10), Start(0)),  # an emptied ClickHouse is refilled
        (7, 9, (0, 10), Start(7)),  # recomputes were pending
        (9, 7, (0, 10), Start(7)),  # a ClickHouse restored from a backup
        (None, 7, (2, 10), Start(2)),  # nothing was ever committed
        (7, 7, (8, 10), Gap(7, 8)),
        (9, 7, (8, 10), Gap(7, 8)),
        (None, 7, (8, 10), Gap(7, 8)),
        (7, 50, (0, 10), Start(0, recreated=True)),
        (50, 7, (0, 10), Start(0, recreated=True)),
        (10, 10, (10, 10), Start(10)),
    ],
)
def test_reading_starts_where_nothing_can_be_missed(
    committed: int | None, stored: int | None, log: tuple[int, int], choice: Start | Gap
) -> None:
    assert choose_start(Offsets(committed, *log), None if stored is None else Stored(stored)) == choice


@pytest.mark.parametrize(
    ("before", "now", "choice"),
    [
        ("a", "a", Start(7)),
        ("a", "b", Start(2, recreated=True)),
        ("", "b", Start(7)),  # progress of before ids were stored
        ("a", "", Start(7)),  # a broker that tells none
    ],
)
def test_a_topic_with_another_id_is_read_from_its_beginning_however_long_it_is(
    before: str, now: str, choice: Start
) -> None:
    assert choose_start(Offsets(7, 2, 1000, now), Stored(9, 3, before), [Gap(0, 500)] * (choice.recreated)) == choice


@pytest.mark.parametrize(
    ("committed", "stored", "log", "accepted", "choice"),
    [
        (7, 7, (9, 20), [Gap(7, 9)], Start(9)),
        (7, 9, (9, 20), [Gap(7, 9)], Start(9)),
        (7, 7, (9, 20), [Gap(7, 8)], Gap(8, 9)),  # the log's beginning has moved on since
        (7, 7, (9, 20), [Gap(8, 9), Gap(7, 8)], Start(9)),
        (7, 7, (9, 20), [Gap(8, 9)], Gap(7, 9)),
        (7, 7, (9, 20), [Gap(0, 7)], Gap(7, 9)),
        (7, 7, (0, 20), [Gap(7, 12)], Start(12)),  # a batch that cannot be read
        (5, 7, (0, 20), [Gap(7, 12)], Start(5)),  # it comes later
        (7, 7, (0, 10), [Gap(7, 12)], Start(10)),  # what is behind the log's end is still to come
        (None, 7, (2, 20), [Gap(3, 5)], Start(2)),
        (7, 50, (0, 10), [Gap(0, 40)], Start(0, recreated=True)),
        (None, None, (4, 10), [Gap(4, 8)], Start(4)),
    ],
)
def test_an_accepted_loss_is_left_behind_and_no_other(
    committed: int | None, stored: int | None, log: tuple[int, int], accepted: list[Gap], choice: Start | Gap
) -> None:
    assert choose_start(Offsets(committed, *log), None if stored is None else Stored(stored), accepted) == choice


@pytest.mark.parametrize(("offset", "behind"), [(4, 4), (5, 12), (8, 12), (9, 12), (12, 12), (13, 13)])
def test_gaps_that_follow_each_other_are_left_behind_at_once(offset: int, behind: int) -> None:
    assert behind_gaps(offset, [Gap(9, 12), Gap(5, 8), Gap(7, 9)]) == behind


OLD, NEW = Stored(9, 2, "old"), Stored(3, 3, "new")


@pytest.mark.parametrize(
    ("topic_id", "start", "stored", "incarnation"),
    [
        ("new", Start(0), {}, 0),
        ("new", Start(3), {P0: NEW, P1: OLD}, 3),
        ("new", Start(0, recreated=True), {P0: OLD}, 3),
        ("new", Start(0, recreated=True), {P0: Stored(9, 0, "old"), P1: NEW}, 3),
        ("new", Start(0, recreated=True), {P0: NEW}, 4),
        ("new", Start(0), {P1: OLD}, 3),
        ("new", Start(0), {P1: NEW}, 3),
        ("", Start(0, recreated=True), {P0: Stored(9, 1), P1: Stored(9, 5)}, 2),
        ("", Start(0), {P1: Stored(9, 5)}, 0),
    ],
    ids=[
        *("the first", "goes on", "another id", "another id that is read already", "the same id, cut off"),
        *("not begun in the old life", "added", "no ids", "no ids, never begun"),
    ],
)
def test_a_life_of_a_topic_is_above_those_of_other_ids(
    topic_id: str, start: Start, stored: dict[Place, Stored], incarnation: int
) -> None:
    assert incarnation_of(P0, topic_id, start, stored | {Place("another", 0): Stored(9, 7, "another")}) == incarnation
