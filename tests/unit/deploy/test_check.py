"""``check`` says of every record what a worker would make of it, and which events share an identity."""

import base64
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.main import cli
from deploy.cli.record_check import Fact, Identities, Judge, Outcome, Verdict
from deploy.cli.record_lines import LineRecord
from pipeline.core.decode import decode_batch
from pipeline.core.envelope.frames import Reader, SchemaKey
from pipeline.core.place import Place
from pipeline.core.records import Columns
from schemas.settings import read_settings
from tests.support.engine import ROOT
from tests.support.envelopes import KINDS
from tests.support.producing import NOW_MS, event

AT = ("--at", "2026-05-05T12:00:00Z")
SETTINGS = read_settings({})
FLOOR_MS = 1_775_001_600_000  # 2026-04-01
EVENT = event(1)
IN_TIME = (
    "read at 2026-05-05T12:00:00.000Z, events from 2026-04-01T00:00:00.000Z to 2026-05-05T12:05:00.000Z "
    "are in time (MSGMETRICS_FACTS_RETENTION_DAYS, MSGMETRICS_FUTURE_SKEW_SECONDS)"
)


def verdicts(*lines: bytes) -> list[Verdict]:
    return list(Judge(SETTINGS, lambda: NOW_MS, None).verdicts(enumerate(lines, 1)))


def check(tmp_path: Path, lines: Sequence[bytes], *words: str) -> tuple[int, list[str], list[str]]:
    """Exit code, and the lines on stdout and stderr."""
    file = tmp_path / "records"
    file.write_bytes(b"\n".join(lines))
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "check", str(file), *words],
        cwd=ROOT, capture_output=True, text=True, check=False, env={},
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


VALUES = st.sampled_from(
    [
        *(wrap(EVENT).value for wrap in KINDS.values()),
        event(2, cost_cents="1.50"),
        event(3, "2026-05-05T12:05:00.001Z"),
        event(3, "2026-05-05T12:05:00Z"),
        event(4, "2026-03-31T23:59:59.999Z"),
        event(4, "2026-04-01T00:00:00Z"),
        event(5, channel="SMS"),
        b"{",
        b"\0\0\0\0\x07x",
    ]
)


@given(st.lists(VALUES, max_size=8))
def test_every_line_gets_the_verdict_of_a_worker(values: list[bytes]) -> None:
    rows = Columns()
    records = [LineRecord(number, value) for number, value in enumerate(values, 1)]
    letters = decode_batch(Place("", 0), records, NOW_MS, 300_000, FLOOR_MS, rows).letters
    found = verdicts(*values)
    assert [v.line for v in found] == list(range(1, len(values) + 1))
    assert [(v.line, v.reason, v.sentence) for v in found if v.outcome is Outcome.DEAD_LETTER] == [
        (letter.offset, letter.reason, letter.detail) for letter in letters
    ]
    facts = [v for v in found if v.outcome is not Outcome.DEAD_LETTER]
    assert [(v.line, v.as_json()["org_id"], v.as_json()["event_id"]) for v in facts] == list(
        zip(rows.offset, rows.org_id, rows.event_id, strict=True)
    )


def test_a_record_is_held_against_its_own_time_too() -> None:
    whole = {"value_base64": _base64(event(1, "2026-05-05T11:15:00Z")), "record_at": "2026-05-05T11:00:00Z"}
    (verdict,) = verdicts(json.dumps(whole).encode())
    assert verdict.reason == "future_timestamp"
    assert verdict.sentence.endswith("is more than 300 s after the record's own time, 2026-05-05T11:00:00Z")


def test_a_binary_cloud_event_is_read_by_its_headers() -> None:
    data = b'{"org_id": "acme", "channel": "sms", "occurred_at": "2026-05-05T10:15:00Z"}'
    names = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "message.delivered"}
    headers = [{"name": f"ce_{name}", "value_base64": _base64(text.encode())} for name, text in names.items()]
    (verdict,) = verdicts(json.dumps({"value_base64": _base64(data), "headers": headers}).encode())
    assert verdict.fact is not None
    assert (verdict.fact.event_id, verdict.fact.type) == ("/shop 7", "message.delivered")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_schemas_are_asked_for_once() -> None:
    asked = []

    def ask(key: SchemaKey) -> Reader:
        asked.append(key)
        return lambda payload: EVENT if payload == b"x" else b""

    judge = Judge(SETTINGS, lambda: NOW_MS, ask)
    values = (EVENT, b"\0\0\0\0\x07x", b"\0\0\0\0\x08y", b"\0\0\0\0\x07x")
    found = [v.outcome for v in judge.verdicts(enumerate(values, 1))]
    assert asked == [7, 8]
    assert found == [Outcome.FACT, Outcome.DUPLICATE, Outcome.DEAD_LETTER, Outcome.DUPLICATE]


def test_the_same_event_counts_once_however_it_is_written_and_other_content_is_a_conflict() -> None:
    changes: list[dict[str, Any]] = [
        {"cost_cents": "0"}, {"cost_cents": 0.0}, {"note": "ignored"}, {"channel": "mms"}, {"cost_cents": 1},
        {"type": "message.delivered"}, {"org_id": "other"}, {"at": "2026-05-05T11:59:59.0004Z"},
        {"at": "2026-05-05T11:59:59.001Z"}, {"at": "2026-05-05T11:58:59Z"},
    ]  # fmt: skip
    found = verdicts(EVENT, *(event(1, **{"at": "2026-05-05T13:59:59+02:00", **change}) for change in changes))
    assert "".join(v.outcome[0] for v in found) == "f" + "dddccffdcc"
    assert {v.first_line for v in found if v.outcome is not Outcome.FACT} == {1}
    assert str(found[1]) == "line 2: duplicate: it counts once, since line 1 is the same event"
    identity = "message.sent 1 of o1 has other content than on line 1"
    assert str(found[4]) == (
        f"line 5: conflict: {identity}, in the same minute: one of the two is counted, and you cannot choose which"
    )
    assert found[-1].sentence == (
        f"{identity}, and is in minute 2026-05-05T11:58:00Z, not 2026-05-05T11:59:00Z: both are counted"
    )


def test_a_dead_letter_has_no_identity() -> None:
    assert [v.outcome[:1] for v in verdicts(event(1, "2020-01-01T00:00:00Z"), EVENT, event(1, channel="X"))] == [*"dfd"]


def test_a_million_events_take_less_than_200_mb() -> None:
    identities, number = Identities(), 50_000
    tracemalloc.start()
    for line in range(number):
        identities.verdict(Fact(line, "acme", f"event {line}", "message.sent", "sms", "", 0, NOW_MS))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / number < 200


def test_problems_are_shown_and_counted_and_end_with_1(tmp_path: Path) -> None:
    lines = [EVENT, EVENT, event(1, channel="mms"), b'{"value_base64": 1}', b"", event(2, "2020-01-01T00:00:00Z"), b"{"]
    code, stdout, stderr = check(tmp_path, lines, *AT)
    assert code == 1
    assert [line.split(":")[:2] for line in stdout] == [
        ["line 3", " conflict"],
        ["line 4", " broken line"],
        ["line 6", " dead letter"],
        ["line 7", " dead letter"],
    ]
    assert stderr == [
        "msgmetrics: 6 records: 1 counted; 1 repeated, which count once; 1 under the identity of another event; "
        "2 dead letters (1 malformed_json, 1 too_late); 1 broken lines",
        IN_TIME,
    ]


def test_records_that_would_be_counted_end_with_0(tmp_path: Path) -> None:
    assert check(tmp_path, [EVENT, EVENT], *AT) == (
        0,
        ["2 records: 1 counted; 1 repeated, which count once"],
        [],
    )
    failed = event(1, type="message.failed", error_code="busy", cost_cents="0.750")
    code, stdout, stderr = check(tmp_path, [failed], *AT, "--all")
    assert (code, stderr) == (0, [])
    assert stdout == [
        "line 1: counted: message.failed at 2026-05-05T11:59:59.000Z, in minute 2026-05-05T11:59:00Z; "
        "event 1 of o1, channel sms, error busy, 0.75 cents",
        "1 records: 1 counted",
    ]


def test_twenty_problems_are_shown_unless_all_are_wanted(tmp_path: Path) -> None:
    _, stdout, _ = check(tmp_path, [b"x"] * 50)
    assert len(stdout) == 21
    assert stdout[-1] == "… and 30 more; --all shows every record"
    assert len(check(tmp_path, [b"x"] * 50, "--all")[1]) == 50


def test_a_line_may_be_longer_than_an_event(tmp_path: Path) -> None:
    whole = json.dumps({"value_base64": _base64(KINDS["cloudevents"](event(1, note="x" * 60_000)).value)})
    _, stdout, _ = check(tmp_path, [f'{{"padding": "{"x" * 200_000}", {whole[1:]}'.encode()], *AT, "--all")
    assert stdout[0].startswith("line 1: counted: message.sent")


def test_as_json_every_record_is_an_object_with_the_same_fields(tmp_path: Path) -> None:
    code, stdout, stderr = check(tmp_path, [event(1, cost_cents="0.75"), b"{", event(1, channel="mms")], *AT, "--json")
    assert (code, len(stderr)) == (1, 1)
    fact, letter, conflict = map(json.loads, stdout)
    assert fact == {
        "line": 1,
        "outcome": "fact",
        "sentence": "counted: message.sent at 2026-05-05T11:59:59.000Z, in minute 2026-05-05T11:59:00Z; event 1 of o1, "
        "channel sms, 0.75 cents",
        "reason": None,
        "org_id": "o1",
        "event_id": "1",
        "type": "message.sent",
        "channel": "sms",
        "error_code": None,
        "cost_cents": "0.75",
        "occurred_at": "2026-05-05T11:59:59.000Z",
        "minute": "2026-05-05T11:59:00Z",
        "first_line": None,
    }
    assert (letter["line"], letter["outcome"], letter["reason"]) == (2, "dead_letter", "malformed_json")
    assert (conflict["outcome"], conflict["first_line"]) == ("conflict", 1)
    assert fact.keys() == letter.keys() == conflict.keys()


@pytest.mark.parametrize(
    ("words", "environment", "code", "said"),
    [
        (["/no/such/file"], {}, 2, "cannot be read"),
        (["/dev/null"], {}, 1, "'/dev/null' has no records"),
        (["/dev/null", "--at", "noon"], {}, 2, "RFC 3339"),
        (["/dev/null"], {"MSGMETRICS_FUTURE_SKEW_SECONDS": "x"}, 2, "MSGMETRICS_FUTURE_SKEW_SECONDS"),
    ],
)
def test_a_wrong_call_is_told_by_its_exit_code(
    words: list[str], environment: dict[str, str], code: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "check", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_settings_move_what_is_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "records"
    file.write_bytes(event(1, "2026-05-05T12:30:00Z"))
    words = ["check", str(file), *AT]
    assert CliRunner().invoke(cli, words).exit_code == 1
    monkeypatch.setenv("MSGMETRICS_FUTURE_SKEW_SECONDS", "3600")
    assert CliRunner().invoke(cli, words).exit_code == 0
