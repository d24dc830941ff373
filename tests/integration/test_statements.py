"""A month that is billed, on the production shape: closed, adjusted, lost with its database, restored, counted anew.

The ledger recounts the month on its own, and finance books what is exported: neither is ever another number.
"""

import json
import random
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_backup import forget_log, lose_clickhouse, system_with_backups
from tests.support.ledger import NUMBERS, Ledger
from tests.support.system import System, wait_until

pytestmark = pytest.mark.timeout(240)
MONTH_END = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
MONTH = f"{MONTH_END - timedelta(days=1):%Y-%m}"
ORGS = 5
Exported = dict[tuple[str, int], bytes]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with system_with_backups(tmp_path, 2) as system:
        yield system


def exported(system: System) -> Exported:
    """All revisions, by organization and number, as a file has them that finance keeps."""
    found: Exported = {}
    for part in system.run("statements", "export", "--all").split('{"format":')[1:]:
        data = ('{"format":' + part).encode()
        head = json.loads(data.splitlines()[0])
        found[head["org"], head["revision"]] = data
    return found


def lines(data: bytes) -> dict[tuple[str, str, str | None], list[Decimal]]:
    rows = [json.loads(line) for line in data.decode().split("\n")[1:-2]]
    return {(r["day"], r["channel"], r["error_code"]): [Decimal(r[n]) for n in NUMBERS] for r in rows}


def recounted(ledger: Ledger, org: str) -> dict[tuple[str, str, str | None], list[Decimal]]:
    """The lines of the month by a naive recount."""
    found: dict[tuple[str, str, str | None], list[Decimal]] = {}
    for event in ledger.events.values():
        if event["org_id"] != org or event["at"] >= MONTH_END:
            continue
        cell = (f"{event['at']:%Y-%m-%d}", event["channel"], event.get("error_code"))
        cost = event.get("cost_cents", "0")
        row = found.setdefault(cell, [Decimal(0)] * len(NUMBERS))
        row[NUMBERS.index(event["type"].split(".")[1])] += 1
        row[NUMBERS.index("cost_cents")] += Decimal(cost if isinstance(cost, str) else repr(cost or 0))
    return found


def test_a_month_is_billed_once_whatever_becomes_of_its_database(system: System, tmp_path: Path) -> None:
    ledger, pick = Ledger(seed=29, orgs=ORGS), random.Random(1)
    where = f"File('{tmp_path}/backups/{{}}')"

    def send(count: int) -> None:
        """Events of the last hours of last month, and of today."""
        now = datetime.now(UTC)
        instants = [MONTH_END - timedelta(seconds=pick.randrange(1, 7200)) for _ in range(count)]
        system.produce(ledger.records(iter([*instants, now - timedelta(seconds=5)]), now))

    def counted() -> None:
        """Until every fact is there, and aggregated for good."""
        facts = "SELECT count() FROM facts FINAL"
        wait_until("facts", lambda: system.query(facts)[0][0] == len(ledger.events), 60)
        system.wait_for_as_of(int(datetime.now(UTC).timestamp() * 1000), 30)
        rows = "SELECT sum(facts) FROM rollup_day FINAL WHERE bucket < {end:DateTime('UTC')}"
        of_month = sum(event["at"] < MONTH_END for event in ledger.events.values())
        wait_until("rollups", lambda: system.query(rows, end=MONTH_END) == [(of_month,)], 60)

    send(400)
    worker = system.start_worker("first")
    counted()
    assert "begins before the first rollup" in refused(system, "close", "--all", "--period", "last")
    said = system.run("statements", "close", "--all", "--period", "last", "--partial")
    first = exported(system)
    assert first.keys() == {(f"org-{n}", 1) for n in range(ORGS)}
    assert said.endswith(f"{MONTH}: {ORGS} stated, 0 as they were, 0 refused or left out\n")
    for (org, _), data in first.items():
        assert lines(data) == recounted(ledger, org)
    assert system.run("statements", "verify") == f"{ORGS} revisions, 0 problems\n"

    # Another database, filled from Kafka: the same bytes.
    assert worker.end() == 0
    lose_clickhouse(system, "second")
    system.run("migrate")
    worker = system.start_worker("second")
    counted()
    system.run("statements", "close", "--all", "--period", "last", "--partial")
    assert exported(system) == first

    # What is late is stated once, and a rebuild changes nothing.
    system.run("backup", "create", "early", "--place", where)
    send(200)
    counted()
    months = json.loads(system.run("status", "--json", code=None))["months"]
    (month,) = [m for m in months if m["period"] == MONTH]
    assert (month["has_ended"], month["stated"], month["open"]) == (True, ORGS, 0)
    assert month["differing"] > 0
    system.run("statements", "diff", "org-0", "last", code=1)
    system.run("statements", "adjust", "--all", "--period", "last", "--period", "before-last")
    span = ("--from", f"{MONTH_END - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}", "--to", f"{MONTH_END:%Y-%m-%dT%H:%M:%SZ}")
    system.run("rebuild", *span)
    assert "nothing" in system.run("statements", "diff", "org-0", "last")
    booked = exported(system)
    assert len(booked) == ORGS + month["differing"]
    assert {key: data for key, data in booked.items() if key[1] == 1} == first
    newest = {org: booked[org, max(n for o, n in booked if o == org)] for org, _ in booked}
    for org, data in newest.items():
        assert lines(data) == recounted(ledger, org)

    # An older backup: nothing is stated before what was billed since is there again.
    assert worker.end() == 0
    lose_clickhouse(system, "third")
    assert "statements resume" in system.run("backup", "restore", "early", "--place", where)
    system.run("migrate")
    worker = system.start_worker("third")
    counted()
    assert "was restored from a backup" in refused(system, "adjust", "--all", "--period", "last")
    assert "is not in it; import what you exported then" in refused(system, "export", "--all")
    assert json.loads(system.run("statements", "list", "--json"))[0]["revisions"][0]["revision"] == 1
    file = tmp_path / "booked.ndjson"
    file.write_bytes(b"".join(booked.values()))
    assert (
        system.run("statements", "import", str(file))
        == f"{month['differing']} revisions imported, {ORGS} were there already\n"
    )
    system.run("statements", "resume")
    system.wait_for_as_of(int(datetime.now(UTC).timestamp() * 1000), 30)
    system.run("statements", "adjust", "--all", "--period", "last")
    assert exported(system) == booked

    # The facts alone.
    system.run("backup", "create", "late", "--place", where)
    assert worker.end() == 0
    lose_clickhouse(system, "fourth")
    system.run("backup", "restore", "late", "--facts-only", "--place", where)
    system.run("migrate")
    worker = system.start_worker("fourth")
    counted()
    system.run("statements", "resume")
    system.run("statements", "adjust", "--all", "--period", "last")
    assert exported(system) == booked
    assert system.run("statements", "verify") == f"{len(booked)} revisions, 0 problems\n"

    # Erased, with its statements, and never billed again.
    theirs = sum(org == "org-0" for org, _ in booked)
    assert f"Its {theirs} statements stay" in system.run("erase", "org-0", "--dry-run")
    assert "org-0 was not erased" in refused(system, "erase", "org-0", "--yes")
    system.run("erase", "org-0", "--yes")
    said = system.run("statements", "adjust", "--all", "--period", "last")
    assert said.startswith("left out: org-0 was erased up to ")
    assert exported(system) == booked
    assert system.run("statements", "erase", "org-0", "--yes") == f"deleted {theirs} revisions of org-0\n"
    system.run("statements", "close", "--all", "--period", "last", "--partial")
    assert exported(system) == {key: data for key, data in booked.items() if key[0] != "org-0"}
    assert worker.end() == 0


def refused(system: System, *words: str) -> str:
    return system.run("statements", *words, code=4, stderr=True)


def test_an_emptied_database_takes_nothing_back(system: System, tmp_path: Path) -> None:
    """Kafka has forgotten the month, and a late price is all that is left of it."""
    ledger = Ledger(seed=30, orgs=1)
    at = MONTH_END - timedelta(hours=1)
    system.produce(ledger.records(iter([at] * 20), datetime.now(UTC)))
    worker = system.start_worker("first")
    wait_until("facts", lambda: system.query("SELECT count() FROM facts FINAL")[0][0] == len(ledger.events), 60)
    now = int(datetime.now(UTC).timestamp() * 1000)
    system.wait_for_as_of(now, 30)
    system.run("statements", "close", "org-0", "--period", "last", "--partial")
    booked = exported(system)
    file = tmp_path / "booked.ndjson"
    file.write_bytes(b"".join(booked.values()))
    assert worker.end(signal.SIGTERM) == 0
    forget_log(system, 2)
    lose_clickhouse(system, "second")
    system.run("migrate")
    worker = system.start_worker("second")
    price: dict[str, Any] = ledger.event(at, "message.charged")
    system.produce(iter([ledger.produced(price)]))
    wait_until("the price", lambda: system.query("SELECT sum(facts) FROM rollup_day FINAL") == [(1,)], 60)
    system.run("statements", "import", str(file))
    system.wait_for_as_of(int(datetime.now(UTC).timestamp() * 1000) + 1000, 30)
    said = refused(system, "adjust", "--all", "--period", "last")
    assert f"org-0 has fewer events of {at:%Y-%m-%d} than revision 1 has, and no late event takes any away" in said
    assert exported(system) == booked
    assert worker.end() == 0
