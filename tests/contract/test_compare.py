"""``compare`` as a user types it, on the embedded engine: what it prints, its exit code, and what it refuses."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from schemas.connection import connect
from schemas.grain import Grain
from schemas.message_event import OTHER_KEY
from tests.support.invoices import Say, at, commanded, put, put_all

AS_OF = datetime(2026, 4, 15, 10, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def database(module_url: str) -> Client:
    client = connect(module_url)
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF:%Y-%m-%d %H:%M:%S}')")
    return client


@pytest.fixture(scope="module")
def acme(database: Client) -> Client:
    """Organization acme in April: 1,234 sent and 7 failed on the 1st for 1,234.5 cents, and a little on the 2nd."""
    stale = {at("2026-04-01T00:00Z"): [("sms", 77, 77, 77, "77")]}
    put(database, Grain.HOUR, "acme", stale)  # from fewer facts, and not merged away yet
    put_all(
        database,
        "acme",
        {
            at("2026-04-01T00:00Z"): [("sms", 1000, 900, 7, "1000.25"), ("email", 5, 5, 0, "0.5")],
            at("2026-04-01T23:59Z"): [("sms", 234, 200, 0, "234.25")],
            at("2026-04-02T12:00Z"): [("sms", 1, 1, 0, "-0.000001")],
            at("2026-04-15T00:00Z"): [("sms", 9, 0, 0, "9")],
            at("2026-04-15T10:30Z"): [("sms", 1000, 0, 0, "1000")],
        },
    )
    return database


@pytest.fixture
def compare(
    acme: Client, module_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Say:
    return commanded(module_url, monkeypatch, capfd, tmp_path)


EQUAL = "day,kind,n,cents\n2026-04-01,sms,1234,1234.5\n2026-04-01,email,5,.50\n2026-04-02,sms,1,-0.000001\n"


def test_equal_numbers_are_told_with_their_totals_and_exit_code_0(compare: Say) -> None:
    code, out, err = compare(EQUAL)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "acme, 2 days of UTC: 2026-04-01T00:00:00Z to 2026-04-03T00:00:00Z",
        "ours: summed from hours, as_of is 2026-04-15T10:30:00.000Z",
        "theirs: './invoice.csv', 3 lines, 0 skipped",
        "",
        "day    channel  number           theirs         ours  theirs - ours",
        "total           sent               1240         1240              0",
        "total           cost_cents  1234.999999  1234.999999              0",
        "",
        "0 of 3 cells of closed days differ",
    ]


def test_each_differing_cell_has_both_sides_and_the_difference_and_what_is_tolerated_is_said_to_be(
    compare: Say,
) -> None:
    content = EQUAL.replace("1234,1234.5", "1233,1234.5").replace("5,.50", "5,.60").replace("02,sms", "02,SMS")
    code, out, _ = compare(content, "--tolerance", "0.1")
    assert code == 1
    table = [line.split() for line in out.splitlines()[4:] if line]
    assert table[1:-2] == [
        ["2026-04-01", "email", "sent", "5", "5", "0", "tolerated"],
        ["2026-04-01", "email", "cost_cents", "0.6", "0.5", "0.1", "tolerated"],
        ["2026-04-01", "sms", "sent", "1233", "1234", "-1", "differs"],
        ["2026-04-01", "sms", "cost_cents", "1234.5", "1234.5", "0", "differs"],
        ["2026-04-02", "SMS", "sent", "1", "0", "1", "differs"],
        ["2026-04-02", "SMS", "cost_cents", "-0.000001", "0", "-0.000001", "differs"],
        ["2026-04-02", "sms", "sent", "0", "1", "-1", "differs"],
        ["2026-04-02", "sms", "cost_cents", "0", "-0.000001", "0.000001", "differs"],
        ["total", "sent", "1239", "1240", "-1"],
        ["total", "cost_cents", "1235.099999", "1234.999999", "0.1"],
    ]
    assert out.splitlines()[-2:] == [
        "3 of 4 cells of closed days differ",
        "1 more differs in cost, within the tolerance",
    ]


def test_a_channel_that_is_written_otherwise_is_told_and_a_map_joins_it(compare: Say, tmp_path: Path) -> None:
    content = EQUAL.replace("sms", "SMS").replace("email", "E-Mail = letter")
    code, out, _ = compare(content)
    assert (code, out.splitlines()[-1]) == (
        1,
        "their 'SMS' may be our 'sms': a line SMS=sms in a file of --map says so",
    )
    (tmp_path / "map").write_text("SMS = sms\n\nE-Mail = letter=email\n", encoding="utf-8-sig")
    assert compare(content, "--map", str(tmp_path / "map"))[0] == 0


def test_a_tolerated_cost_alone_is_exit_code_0_and_less_than_that_is_not(compare: Say) -> None:
    content = EQUAL.replace("1234.5", "1234.6")
    assert [compare(content, "--tolerance", cents)[0] for cents in ("0.1", "0.099999")] == [0, 1]


def german(text: str) -> bytes:
    return text.encode("cp1252")


FORMS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "a German spreadsheet": (
        'Rechnung für "acme"\r\nday;kind;n;cents\r\n01.04.2026;sms;1.234;1.234,5\r\n01.04.2026;email;5;0,5\r\n'
        "02.04.2026;sms;1;-0,000001\r\nSumme;;1.240;1.234,999999\r\n".encode("cp1252"),
        ("--encoding", "cp1252", "--separator", ";", "--decimal", ",", "--thousands", ".", "--date-format", "%d.%m.%Y",
         "--skip", "^Summe", "--skip", "^Rechnung"),
    ),
    "UTF-16 with tabs, in dollars below zero": (
        "kind\tday\tcents\tn\nsms\tApr 1, 2026\t-12.345\t1,234\nemail\tApr 1, 2026\t-0.005\t5\n"
        "sms\tApr 2, 2026\t0.00000001\t1\n".encode("utf-16"),
        ("--encoding", "utf-16", "--separator", "tab", "--thousands", ",", "--date-format", "%b %d, %Y", "--cost-unit",
         "units", "--negate"),
    ),
    "UTF-8 with a byte order mark, blanks between thousands": (
        "day,kind,n,cents\n2026-04-01T23:59:59Z,sms,1\u00a0234,1\u202f234.5\n2026-04-02T01:00:00+02:00,email,5,0.5\n"
        '2026-04-02T00:00:00Z,"sms",1,"-0.000001"\n'.encode("utf-8-sig"),
        ("--thousands", "space"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_another_form_is_equal(compare: Say, form: str) -> None:
    content, words = FORMS[form]
    code, out, err = compare(content, *words)
    assert (code, err) == (0, ""), out


@pytest.mark.parametrize(
    ("count", "expected"), [("sent", 1239), ("delivered", 1105), ("failed", 7), ("sent+failed", 1246)]
)
def test_a_count_is_held_against_the_number_of_ours_that_it_is(compare: Say, count: str, expected: int) -> None:
    content = f"day,n\n2026-04-01,{expected}\n"
    span = {"end": "2026-04-02T00:00:00Z", "columns": "date=day,count=n"}
    assert compare(content, count=count, **span)[0] == 0
    others = {"sent", "delivered", "failed", "sent+failed"} - {count}
    assert [compare(content, count=other, **span)[0] for other in others] == [1, 1, 1]


def test_an_open_day_is_said_to_be_one_and_is_no_proof(compare: Say) -> None:
    span = {"start": "2026-04-14T00:00:00Z", "end": "2026-04-16T00:00:00Z"}
    code, out, _ = compare("day,kind,n,cents\n2026-04-15,sms,10,10\n", **span)
    assert code == 1
    assert [line.split() for line in out.splitlines()[5:11]] == [
        ["2026-04-15", "sms", "sent", "10", "9", "1", "open"],
        ["2026-04-15", "sms", "cost_cents", "10", "9", "1", "open"],
        ["total", "sent", "10", "9", "1"],
        ["total", "cost_cents", "10", "9", "1"],
        ["of", "closed", "days", "sent", "0", "0", "0"],
        ["of", "closed", "days", "cost_cents", "0", "0", "0"],
    ]
    assert out.splitlines()[-2:] == [
        "no cell of a closed day was compared",
        "2026-04-15 is open: ours is what was counted up to as_of, and 1 of the cells there differ so far, which "
        "proves nothing. Compare again once as_of is 2026-04-16T00:00:00Z or later",
    ]
    code, out, _ = compare("day,kind,n,cents\n2026-04-15,sms,9,9\n", **span)
    assert (code, "0 of the cells there differ so far" in out) == (1, True)
    assert compare("day,kind,n,cents\n", start="2026-04-13T00:00:00Z", end="2026-04-15T00:00:00Z")[0] == 0


def test_json_has_exact_decimals_and_all_that_the_text_says(compare: Say) -> None:
    content = EQUAL.replace("1234.5", "1000000000000000000000.000001")
    code, out, _ = compare(content, "--json", end="2026-04-16T00:00:00Z")
    found = json.loads(out, parse_float=Decimal)
    (differing,) = found.pop("differences")
    assert code == 1
    assert differing == {
        "day": "2026-04-01", "day_start": "2026-04-01T00:00:00Z", "day_end": "2026-04-02T00:00:00Z", "channel": "sms",
        "theirs": {"count": 1234, "cost_cents": Decimal("1000000000000000000000.000001")},
        "ours": {"count": 1234, "cost_cents": Decimal("1234.5")},
        "difference": {"count": 0, "cost_cents": Decimal("999999999999999998765.500001")},
    }  # fmt: skip
    (still_open,) = found.pop("open")
    assert (still_open["day"], still_open["ours"]["count"]) == ("2026-04-15", 9)
    assert found.pop("total")["ours"] == {"count": 1249, "cost_cents": Decimal("1243.999999")}
    assert found.pop("total_of_closed_days")["ours"] == {"count": 1240, "cost_cents": Decimal("1234.999999")}
    assert found == {
        "org_id": "acme", "zone": "UTC", "from": "2026-04-01T00:00:00Z", "to": "2026-04-16T00:00:00Z",
        "as_of": "2026-04-15T10:30:00.000Z", "is_equal_and_closed": False, "granularity": "hour", "count": "sent",
        "lines": 3, "skipped": 0, "cells": 4, "open_days": ["2026-04-15"], "has_folded": False, "tolerated": [],
    }  # fmt: skip


def test_a_file_without_a_count_is_compared_by_cost_and_without_a_channel_over_all(compare: Say) -> None:
    content = "day,cents\n2026-04-01,1235\n2026-04-02,-0.000001\n"
    code, out, _ = compare(content, "--json", columns="date=day,cost=cents", count="")
    found = json.loads(out, parse_float=Decimal)
    assert (code, found["cells"], found["count"]) == (0, 2, None)
    assert found["total"]["ours"] == {"cost_cents": Decimal("1234.999999")}
    code, out, _ = compare(content.replace("1235", "1"), columns="date=day,cost=cents", count="")
    assert out.splitlines()[5].split() == ["2026-04-01", "all", "cost_cents", "1", "1235", "-1234", "differs"]


def test_what_was_folded_is_told(compare: Say, database: Client) -> None:
    put_all(database, "folded", {at("2026-04-01T00:00Z"): [("sms", 1, 0, 0, "0"), (OTHER_KEY, 2, 0, 0, "0")]})
    content = "day,kind,n,cents\n2026-04-01,sms,1,0\n2026-04-01,mms,2,0\n"
    code, out, _ = compare(content, org="folded")
    assert (code, f"ours has numbers under {OTHER_KEY}: " in out) == (1, True)
    assert json.loads(compare(content, "--json", org="folded")[1])["has_folded"] is True
    assert compare("day,n\n2026-04-01,3\n", org="folded", columns="date=day,count=n")[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--zone", "Europe/Berlin"), 2, "the nearest are 2026-04-01T00:00:00+02:00 and 2026-04-02T00:00:00+02:00"),
        (("--skip", "("), 2, "it must be a regular expression of Python"),
        (("--map", "/no/such/file"), 2, "'/no/such/file' cannot be read"),
        (("--date-format", "%d.%m"), 2, "it must hold year, month and day"),
        (("--date-format", "%d.%m.%Y"), 2, "line 2: column 'day' must be a date as '%d.%m.%Y' has it"),
        (("--thousands", "."), 2, "--decimal and --thousands are both '.'"),
        (("--encoding", "hex"), 2, "it must be an encoding that Python knows"),
        (("--encoding", "utf-16"), 2, "line 1: "),
        (("--org", "nobody"), 4, "nobody knows the organization 'nobody'"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(compare: Say, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = compare(EQUAL, *words)
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") <= 4, "usage and a sentence"


def test_facts_are_told_to_be_missing_where_they_are_not_kept_or_are_none(compare: Say) -> None:
    _, out, _ = compare(EQUAL.replace("1234.5", "1").replace("email", "Fax;"), "--explain")
    assert out.count("\nfacts are kept since 2") == 3
    assert out.count("\nno facts") == 3
