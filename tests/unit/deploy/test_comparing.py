"""The comparison of cells, held against the simplest one that can be thought of."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.comparing import Cell, Cells, Numbers, Verdict, add, compare_cells, names_written_otherwise
from deploy.cli.zone_days import days_of, midnight_of

ZONE = ZoneInfo("Europe/Berlin")
FIRST = date(2026, 10, 24)
DAYS = days_of(ZONE, midnight_of(ZONE, FIRST), midnight_of(ZONE, FIRST + timedelta(days=4)))
NEVER_OPEN = DAYS.end * 1000
NUMBERS = st.builds(Numbers, st.integers(-3, 3), st.integers(-3, 3))
SIDE: st.SearchStrategy[Cells] = st.dictionaries(
    st.tuples(st.sampled_from(DAYS.all), st.sampled_from(("sms", "mms", ""))), NUMBERS
)
EDGES = st.integers(DAYS.starts[0] * 1000 - 5, NEVER_OPEN + 5) | st.sampled_from(
    [edge * 1000 + off for edge in (*DAYS.starts, DAYS.end) for off in (-1, 0, 1)]
)
SMS, MMS = (DAYS.all[0], "sms"), (DAYS.all[0], "mms")


@given(SIDE, SIDE, EDGES, st.integers(0, 3))
def test_a_comparison_is_what_looking_at_each_day_and_channel_finds(
    theirs: Cells, ours: Cells, as_of_ms: int, tolerance: int
) -> None:
    found = compare_cells(theirs, ours, DAYS, as_of_ms, tolerance)
    verdicts = {(cell.day, cell.channel): cell.verdict for cell in found.cells}
    sums = {"theirs": [0, 0], "ours": [0, 0], "final": [0, 0, 0, 0]}
    all_equal = True
    for day in DAYS.all:
        is_final = as_of_ms >= day.end * 1000
        assert (day in found.open_days) is not is_final
        all_equal &= is_final
        for channel in ("", "mms", "sms"):
            their, our = theirs.get((day, channel)), ours.get((day, channel))
            a, b = their or Numbers(0, 0), our or Numbers(0, 0)
            sums["theirs"][0] += a.count
            sums["theirs"][1] += a.micros
            sums["ours"][0] += b.count
            sums["ours"][1] += b.micros
            if is_final:
                sums["final"] = [
                    x + y for x, y in zip(sums["final"], (a.count, a.micros, b.count, b.micros), strict=True)
                ]
            if their is None and our is None:
                assert (day, channel) not in verdicts
                continue
            same_count, cost_is_off_by = a.count == b.count, abs(a.micros - b.micros)
            match verdicts[day, channel]:
                case Verdict.EQUAL:
                    assert same_count
                    assert cost_is_off_by == 0
                case Verdict.OPEN:
                    assert not is_final
                    assert not same_count or cost_is_off_by
                case Verdict.TOLERATED:
                    assert is_final
                    assert same_count
                    assert 0 < cost_is_off_by <= tolerance
                case Verdict.DIFFERS:
                    assert is_final
                    assert not same_count or cost_is_off_by > tolerance
                    all_equal = False
    assert [(c.day, c.channel) for c in found.cells] == sorted(verdicts)
    assert found.is_proof is all_equal
    assert (found.total.theirs, found.total.ours) == (Numbers(*sums["theirs"]), Numbers(*sums["ours"]))
    assert found.closed_total.theirs == Numbers(*sums["final"][:2])
    assert found.closed_total.ours == Numbers(*sums["final"][2:])
    assert found.closed_total.difference == found.closed_total.theirs - found.closed_total.ours
    assert all(cell.difference == cell.theirs - cell.ours for cell in found.cells)


def test_a_cell_that_one_side_lacks_is_0_there() -> None:
    found = compare_cells({SMS: Numbers(2)}, {MMS: Numbers(3)}, DAYS, NEVER_OPEN, 0)
    assert [(cell.channel, cell.theirs.count, cell.ours.count) for cell in found.cells] == [
        ("mms", 0, 3),
        ("sms", 2, 0),
    ]
    assert len(found.having(Verdict.DIFFERS)) == 2
    assert compare_cells({SMS: Numbers()}, {}, DAYS, NEVER_OPEN, 0).is_proof


def test_tolerance_is_for_the_cost_of_a_cell_alone() -> None:
    theirs, ours = {SMS: Numbers(1, 105), MMS: Numbers(0, 95)}, {SMS: Numbers(1, 100), MMS: Numbers(0, 100)}
    within = compare_cells(theirs, ours, DAYS, NEVER_OPEN, 5)
    assert [cell.verdict for cell in within.cells] == [Verdict.TOLERATED] * 2
    assert within.is_proof
    count = compare_cells({SMS: Numbers(2, 105)}, {SMS: Numbers(1, 100)}, DAYS, NEVER_OPEN, 5)
    assert [cell.verdict for cell in count.cells] == [Verdict.DIFFERS]


def test_an_open_day_is_no_proof_even_where_all_is_equal_so_far() -> None:
    same = {SMS: Numbers(1, 1)}
    assert compare_cells(same, same, DAYS, NEVER_OPEN, 0).is_proof
    still_open = compare_cells(same, same, DAYS, NEVER_OPEN - 1, 0)
    assert not still_open.is_proof
    assert still_open.open_days == DAYS.all[-1:]
    assert still_open.having(Verdict.DIFFERS) == []


def test_names_that_are_written_otherwise_are_told() -> None:
    theirs = {(DAYS.all[0], name): Numbers(1) for name in ("SMS", "What sApp", "mms", "fax")}
    ours = {(DAYS.all[0], name): Numbers(1) for name in ("sms", "whatsapp", "mms", "email")}
    found = compare_cells(theirs, ours, DAYS, NEVER_OPEN, 0)
    assert names_written_otherwise(found) == [("SMS", "sms"), ("What sApp", "whatsapp")]


def test_numbers_of_one_cell_add_up() -> None:
    cells: dict[Cell, Numbers] = {}
    for numbers in (Numbers(1, 5), Numbers(-3, 10**40)):
        add(cells, SMS, numbers)
    assert cells == {SMS: Numbers(-2, 10**40 + 5)}
