"""``statements`` as a user types it: what it prints, its exit codes, and what it says where it refuses."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from deploy.cli.main import run
from pipeline.core.effects import CloseBuckets, InsertDeadLetters
from pipeline.core.records import DeadLetter
from pipeline.core.statements.document import hash_of, parse
from schemas.connection import connect
from schemas.grain import Grain
from schemas.message_event import DeadLetterReason
from tests.contract.test_stating import DAY, MONTH, NAME, aggregate, count
from tests.support.places import P0
from tests.support.stores import NOW, Case, real

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def filled(url: str) -> Case:
    """Organization a with a message and a failure, b with a credit, in the last month."""
    case = real(url)
    count(case, ("a", "1", 1, 750_000, DAY + 5), ("a", "2", 3, 0, DAY + 65), ("b", "1", 4, -1_500_000, DAY))
    return case


@pytest.fixture
def say(url: str, filled: Case, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Run a command on statements: exit code, stdout and stderr. Aggregation has passed what was stated before."""
    monkeypatch.setenv("MSGMETRICS_CLICKHOUSE_URL", url)
    monkeypatch.setattr("deploy.cli.statement_making.check_clocks", lambda _: None)

    def say(*words: str) -> tuple[int, str, str]:
        aggregate(filled)
        try:
            code = run(["statements", *words])
        except SystemExit as end:
            code = int(end.code or 0)
        told = capfd.readouterr()
        return code, told.out, told.err

    return say


@pytest.fixture
def client(url: str) -> Client:
    return connect(url)


CLOSE = ("close", "--all", "--period", MONTH.name, "--partial")
ADJUST = ("adjust", "--all", "--period", MONTH.name)


def test_a_month_is_closed_shown_exported_and_verified(say: Say) -> None:
    code, out, err = say(*CLOSE)
    assert (code, err) == (0, "")
    first, second, last = out.splitlines()
    assert first.startswith(f"stated a {MONTH.name} as revision 1 at 20")
    assert second.startswith(f"stated b {MONTH.name} as revision 1 at 20")
    assert last == f"{MONTH.name}: 2 stated, 0 as they were, 0 refused or left out"
    code, out, err = say("export", "a", MONTH.name)
    assert (code, err) == (0, "")
    assert first.endswith(f": {len(out.encode())} bytes, sha256 {hash_of(out.encode())}")
    assert parse(out.encode()).head.org == "a"
    assert say("export", "a", MONTH.name, "--format", "csv") == (
        0,
        "org,period,revision,day,channel,error_code,sent,delivered,failed,charged,cost_cents\r\n"
        f"a,{MONTH.name},1,{NAME},sms,,1,0,1,0,0.750000\r\n",
        "",
    )
    code, shown, _ = say("show", "b", MONTH.name)
    assert code == 0
    assert shown.splitlines()[2:4] == ["previous  none", "partial   numbers from before the first rollup are missing"]
    assert [line.split() for line in shown.splitlines()[5:]] == [
        ["day", "channel", "error_code", "sent", "delivered", "failed", "charged", "cost_cents"],
        [NAME, "sms", "0", "0", "0", "1", "-1.500000"],
        ["total", "0", "0", "0", "1", "-1.500000"],
    ]
    assert say("verify") == (0, "2 revisions, 0 problems\n", "")
    assert say(*CLOSE)[1] == f"{MONTH.name}: 0 stated, 2 as they were, 0 refused or left out\n"
    assert say("close", "a", *CLOSE[2:])[1] == f"a {MONTH.name} is revision 1: nothing to state\n"


def test_an_adjustment_is_shown_stated_and_shown_again(say: Say, filled: Case) -> None:
    say(*CLOSE)
    assert say("diff", "a", MONTH.name) == (0, f"a {MONTH.name}: today's numbers less revision 1: nothing\n", "")
    count(filled, ("a", "late", 4, -250_000, DAY + 5))
    code, out, _ = say("diff", "a", MONTH.name)
    assert (code, out.splitlines()[0]) == (1, f"a {MONTH.name}: today's numbers less revision 1")
    assert [line.split() for line in out.splitlines()[3:]] == [
        [NAME, "sms", "0", "0", "0", "1", "-0.250000"],
        ["total", "0", "0", "0", "1", "-0.250000"],
    ]
    assert say(*ADJUST)[1].splitlines()[-1] == f"{MONTH.name}: 1 stated, 1 as they were, 0 refused or left out"
    code, out, _ = say("diff", "a", MONTH.name, "2", "--json")
    numbers = {"sent": 0, "delivered": 0, "failed": 0, "charged": 1, "cost_cents": "-0.250000"}
    line = {"day": NAME, "channel": "sms", "error_code": None, **numbers}
    assert code == 1
    assert json.loads(out) == {"org": "a", "period": MONTH.name, "lines": [line], "total": numbers}
    assert say("diff", "b", MONTH.name)[0] == 0
    code, out, _ = say("export", "--all")
    assert out.count('{"format":') == 3
    assert say("export", "--all", "--period", MONTH.name)[1] == out
    assert say("export", "a", MONTH.name, "--revision", "1")[1] in out


def test_the_list_says_what_is_open_stated_void_and_what_to_look_at(say: Say, filled: Case, client: Client) -> None:
    letter = DeadLetter(
        P0, 9, DeadLetterReason.INVALID_FIELD, "why", NOW * 1000, None, b"x", (), "a", "e", "", DAY * 1000
    )
    filled.perform(InsertDeadLetters((letter,)))
    count(filled, ("a", "twice", 1, 0, DAY + 60), ("a", "twice", 1, 0, DAY + 120))
    _, out, _ = say("list")
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [["a", MONTH.name, "open"], ["b", MONTH.name, "open"]]
    assert out.splitlines()[1].endswith("(1 dead letters)")
    seen = "(1 dead letters, 1 events sent with several times)"
    assert say("list", "--org", "a")[1].splitlines()[1].endswith(seen)
    assert say("list", "--violations")[1].splitlines()[1].endswith(seen)
    say("close", "a", *CLOSE[2:])
    client.command(
        "INSERT INTO statements (org_id, period, revision, stated_at, sha256, document) "
        "SELECT org_id, period, 1, addSeconds(stated_at, 1), 'other', 'x' FROM statements"
    )
    count(filled, ("a", "late", 4, -250_000, DAY + 5))
    code, out, _ = say("list", "--json", "--violations")
    a, b = json.loads(out)
    assert code == 0
    assert (a["org"], a["state"], a["differs"], a["cost_cents"]) == ("a", "stated", True, "0.750000")
    assert (a["dead_letters"], a["violations"]) == (1, 1)
    assert [(r["revision"], r["previous"], r["partial"]) for r in a["revisions"]] == [(1, None, True)]
    assert [(v["revision"], v["sha256"]) for v in a["void"]] == [(1, "other")]
    assert (b["org"], b["state"], b["revisions"], b["cost_cents"]) == ("b", "open", [], None)
    _, out, _ = say("list", "--org", "a", "--period", MONTH.name)
    newest, void = out.splitlines()[1:]
    assert newest.split()[:6] == ["a", MONTH.name, "stated,", "differs", "1", a["revisions"][0]["stated_at"]]
    assert void.split()[:3] == [MONTH.name, "void", "1"]
    assert (
        say("list", "--period", "2001-01")[1] == "nothing is stated, and no month that may still change has numbers\n"
    )


def test_what_was_tampered_with_is_found(say: Say, filled: Case, client: Client) -> None:
    say(*CLOSE)
    count(filled, ("a", "late", 4, -250_000, DAY + 5), ("b", "late", 1, 0, DAY))
    say(*ADJUST)
    change = "ALTER TABLE statements UPDATE {} WHERE org_id = '{}' AND revision = {} SETTINGS mutations_sync = 2"
    client.command(change.format("document = replaceOne(document, '\"sent\":1', '\"sent\":2')", "a", 1))
    client.command("ALTER TABLE statements DELETE WHERE org_id = 'b' AND revision = 1 SETTINGS mutations_sync = 2")
    code, out, _ = say("verify")
    assert code == 1
    assert out.splitlines() == [
        f"b {MONTH.name}: revision 1 is missing",
        f"a {MONTH.name}, revision 1 is not what was written: its hash is another one",
        "3 revisions, 2 problems",
    ]
    for words in (("show", "a", MONTH.name), ("export", "a", MONTH.name)):
        code, out, err = say(*words, "--revision", "1")
        assert (code, out, "is not what was written: its hash is another one" in err) == (1, "", True)
    assert say("export", "--all")[0] == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("close", "--period", "2026-10"), 2, "say of whom: an organization's id, or --all"),
        (("close", "a", "--all", "--period", "2026-10"), 2, "say of whom"),
        (("close", "a", "--period", "2026-1"), 2, "a period is a month like 2026-10"),
        (("adjust", "--all", "--period", "last", "--accept-lower"), 2, "--accept-lower is about one organization"),
        (("close", "a", "--period", "2099-12"), 4, "2099-12 ends at 2100-01-01T00:00:00.000Z, and as_of is"),
        (("close", "a", "--period", MONTH.name), 4, "begins before the first rollup of this database"),
        (("adjust", "a", "--period", MONTH.name), 4, "nobody has stated"),
        (("show", "a", MONTH.name), 4, "nothing of a is stated of"),
        (("diff", "a", MONTH.name), 4, "nothing of a is stated of"),
        (("diff", "a", MONTH.name, "2"), 4, "nothing of a is stated of"),
        (("export", "a"), 2, "say what to export"),
        (("export", "--all", "--format", "csv"), 2, "say what to export"),
        (("close", "nobody", "--period", MONTH.name), 4, "nobody knows the organization 'nobody'"),
        (("erase", "a", "--yes"), 4, "a was not erased"),
        (("import", "no-such-file"), 2, "'no-such-file' cannot be read"),
    ],
)
def test_what_is_wrong_is_a_sentence(say: Say, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = say(*words)
    assert (found, out) == (code, "")
    assert said in err


def test_months_that_nobody_has_closed_do_not_fail_the_weekly_run(say: Say, filled: Case) -> None:
    before = MONTH.before.name
    say(*CLOSE)
    code, out, err = say(*ADJUST, "--period", before)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{MONTH.name}: 0 stated, 2 as they were, 0 refused or left out",
        f"{before}: no organization has numbers",
    ]
    count(filled, ("a", "old", 1, 0, MONTH.start - 60))
    for grain in Grain:
        filled.perform(CloseBuckets(grain, MONTH.before.start, MONTH.start, 0))
    code, out, err = say(*ADJUST[:3], before)
    assert (code, out, err) == (0, f"{before}: nobody has closed it, so there is nothing to adjust\n", "")


def test_with_all_everybody_else_is_stated_where_one_is_refused(say: Say, filled: Case, client: Client) -> None:
    say(*CLOSE)
    count(filled, ("b", "late", 1, 0, DAY))
    client.command("ALTER TABLE rollup_day DELETE WHERE org_id = 'a' SETTINGS mutations_sync = 2")
    client.command("ALTER TABLE rollup_hour DELETE WHERE org_id = 'a' SETTINGS mutations_sync = 2")
    client.command("ALTER TABLE rollup_minute DELETE WHERE org_id = 'a' SETTINGS mutations_sync = 2")
    client.command("ALTER TABLE facts DELETE WHERE org_id = 'a' SETTINGS mutations_sync = 2")
    code, out, err = say(*ADJUST)
    assert code == 4
    assert "stated b" in out
    assert f"a has fewer events of {NAME} than revision 1 has" in err
    code, out, _ = say("diff", "a", MONTH.name)
    assert code == 1
    assert "events were taken away, so that it is only stated with --accept-lower" in out
    assert out.splitlines()[-1].split() == ["total", "-1", "0", "-1", "0", "-0.750000"]
    code, out, _ = say("adjust", "a", "--period", MONTH.name, "--accept-lower")
    assert (code, "stated a" in out) == (0, True)


def test_a_day_that_differs_from_its_hours_is_not_stated(
    say: Say, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("deploy.cli.reconcile.time.sleep", waited.append)
    monkeypatch.setattr("tests.contract.test_statement_commands.aggregate", lambda _: None)
    client.command("ALTER TABLE rollup_hour DELETE WHERE org_id = 'a' SETTINGS mutations_sync = 2")
    code, out, err = say(*CLOSE)
    assert code == 4
    assert "days of a differ from their hours; `msgmetrics reconcile --org` shows where" in err
    assert "stated b" in out
    assert sum(waited) > 60


def test_what_is_imported_is_read_from_a_file_or_stdin_or_refused(say: Say, tmp_path: Path, client: Client) -> None:
    say(*CLOSE)
    _, out, _ = say("export", "--all")
    file = tmp_path / "file.ndjson"
    client.command("TRUNCATE TABLE statements")
    file.write_text(out)
    assert say("import", str(file)) == (0, "2 revisions imported, 0 were there already\n", "")
    assert say("import", str(file)) == (0, "0 revisions imported, 2 were there already\n", "")
    file.write_text(out.replace('"charged":1', '"charged":7', 1))
    code, _, err = say("import", str(file))
    assert (code, "document 2 of the file is no exported statement: it is not canonical" in err) == (2, True)
    file.write_text("")
    assert say("import", str(file))[0] == 2
    assert say("verify")[0] == 0


def test_a_file_is_exported_whole_or_left_as_it_was(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say(*CLOSE)
    file = tmp_path / "all.ndjson"
    assert say("export", "--all", "--out", str(file)) == (0, "", "")
    before = file.read_text()
    assert before == say("export", "--all")[1]
    assert say("export", "a", MONTH.name, "--out", str(tmp_path / "a.csv"), "--format", "csv")[0] == 0
    assert (tmp_path / "a.csv").read_bytes().startswith(b"org,period,revision,day")
    url = os.environ["MSGMETRICS_CLICKHOUSE_URL"]
    monkeypatch.setenv("MSGMETRICS_CLICKHOUSE_URL", "http://127.0.0.1:9/default")
    assert run(["statements", "export", "--all", "--out", str(file)]) == 3
    monkeypatch.setenv("MSGMETRICS_CLICKHOUSE_URL", url)
    assert file.read_text() == before
    code, _, err = say("export", "--all", "--out", str(tmp_path / "nowhere" / "x"))
    assert (code, "cannot be written (No such file or directory); it is as it was" in err) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "all.ndjson"], "nothing is left lying about"


def test_restored_statements_stop_until_somebody_goes_on(say: Say, client: Client) -> None:
    say(*CLOSE)
    client.command("INSERT INTO statement_restores (restored_at) VALUES (now64(3))")
    for words in (CLOSE, ADJUST, ("diff", "a", MONTH.name), ("export", "--all")):
        code, _, err = say(*words)
        assert (code, "this database was restored from a backup at" in err) == (4, True)
    assert say("export", "a", MONTH.name)[0] == say("verify")[0] == 0
    assert say("resume")[:2] == (0, "statements go on: none is missing\n")
    assert say("resume")[0] == 0
    assert say(*ADJUST)[0] == 0
