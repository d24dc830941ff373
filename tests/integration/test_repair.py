"""Rollups that are gone, wrong or too many: found by name, mended beside the live worker, and proven right."""

import json
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.ledger import PATTERNS, Ledger
from tests.support.load import load
from tests.support.recount import check_everything
from tests.support.system import System, require_kafka

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
SPAN, EVENTS = timedelta(hours=30), 4_000
STAMPED = {
    "facts": """
        INSERT INTO facts (org_id, event_id, type, channel, occurred_at, record_at)
        SELECT {org:String}, 'x', 1, 'sms', now64(3, 'UTC') - INTERVAL 2 HOUR, now64(3, 'UTC') + {s:Int64}
    """,
    "dead_letters": """
        INSERT INTO dead_letters (org_id, reason, record_at)
        SELECT {org:String}, 'malformed_json', now64(3, 'UTC') + {s:Int64}
    """,
}
"""A record of an organization that a clock ahead has stamped, as a row of a table."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    require_kafka()
    directory = tmp_path_factory.mktemp("repair")
    with System(directory, partitions=4, lateness_seconds="2", clickhouse_insert_timeout_seconds="5") as system:
        system.start_worker("worker")
        yield system


@pytest.fixture(scope="module")
def ledger(system: System) -> Ledger:
    """All of them counted: some are of yesterday at any hour of the day, and there is little to look through."""
    ledger, pick, now = Ledger(seed=31, orgs=8), random.Random(32), datetime.now(UTC)
    instants = (now - timedelta(seconds=pick.randrange(60, int(SPAN.total_seconds()))) for _ in range(EVENTS))
    system.produce(ledger.records(instants, now))
    check_everything(system, ledger, now)
    return ledger


def span() -> tuple[str, ...]:
    since = datetime.now(UTC) - SPAN - timedelta(hours=1)
    return "--from", since.strftime(FORMAT), "--to", "2100-01-01T00:00:00Z"


def reconcile(system: System, code: int = 0) -> Any:
    return json.loads(system.run("reconcile", *span(), "--json", code=code))


def test_rollups_that_are_gone_come_back_under_load_and_nothing_differs(system: System, ledger: Ledger) -> None:
    with load(system, ledger, rate=400):
        for grain in PATTERNS:
            system.query(f"TRUNCATE TABLE rollup_{grain}")
        assert "generation 1" in system.run("rebuild", *span())
        found = reconcile(system)
    check_everything(system, ledger, datetime.now(UTC))
    assert found["differences"] == []
    assert found["violations"] == []
    assert min(found["checked"].values()) > 0


def test_each_wrong_row_is_named_and_mended(system: System, ledger: Ledger) -> None:
    """At each grain one row too high, one too low, one too many; one missing; one whose groups alone are wrong.

    Both commands run at once: where anything differs, each looks again for over a minute.
    """
    as_of = datetime.fromtimestamp(system.as_of_ms() / 1000, UTC)
    expected: set[tuple[str, str, str]] = set()
    for number, grain in enumerate(PATTERNS):
        # Other organizations at each grain, since a wrong minute and a wrong hour might agree.
        high, low = f"org-{2 * number}", f"org-{2 * number + 1}"
        high_at, low_at = (_a_bucket(system, grain, org, as_of) for org in (high, low))
        expected |= {(grain, high, f"{high_at:%Y-%m-%dT%H:%M:%SZ}"), (grain, low, f"{low_at:%Y-%m-%dT%H:%M:%SZ}")}
        _corrupt(system, grain, high, high_at, "sent + 100", "facts + 100", "generation + 1")
        _corrupt(system, grain, low, low_at, "sent - 1", "facts", "generation + 1")
        extra = (as_of - SPAN).replace(minute=0, second=0, microsecond=0)
        extra = extra.replace(hour=0) if grain == "day" else extra
        system.query(
            f"INSERT INTO rollup_{grain} (org_id, bucket, sent, facts, rank_sum, generation) "
            "VALUES ({org:String}, {at:String}, 7, 7, 7, 0)",
            org=f"nobody-{grain}",
            at=f"{extra:%Y-%m-%d %H:%M:%S}",
        )
        expected.add((grain, f"nobody-{grain}", f"{extra:%Y-%m-%dT%H:%M:%SZ}"))
    org = "org-6"
    bucket = _a_bucket(system, "minute", org, as_of)
    system.query(
        "ALTER TABLE rollup_minute DELETE WHERE org_id = {org:String} AND bucket = {at:String} "
        "SETTINGS mutations_sync = 2",
        org=org,
        at=f"{bucket:%Y-%m-%d %H:%M:%S}",
    )
    expected.add(("minute", org, f"{bucket:%Y-%m-%dT%H:%M:%SZ}"))

    at = _with_other_groups(system, "org-7", as_of)
    expected.add(("hour", "org-7", f"{at:%Y-%m-%dT%H:%M:%SZ}"))

    with ThreadPoolExecutor() as pool:
        text = pool.submit(system.run, "reconcile", *span(), "--org", "org-7", code=1)
        found = reconcile(system, code=1)
    named = {(d["grain"], d["org_id"], d["bucket_start"]) for d in found["differences"]}
    # A wrong row differs from the finer rows below it, and the coarser row above it differs from it: both are named.
    above = {(coarser, o, _coarser(at, coarser)) for g, o, at in expected for coarser in _above(g)}
    assert expected <= named
    assert named <= expected | above
    _check_the_groups_are_named(text.result())

    system.run("rebuild", *span(), "--org", "org-7")
    assert "every rollup says what it was computed from" in system.run("reconcile", *span(), "--org", "org-7")
    system.run("rebuild", *span())
    check_everything(system, ledger, datetime.now(UTC))
    assert reconcile(system)["differences"] == []


def _check_the_groups_are_named(text: str) -> None:
    assert "groups[pigeon,].sent: expected 0, found" in text
    assert not re.search(r"^hour .* (sent|facts): expected", text, re.MULTILINE), text
    assert "rebuild" in text


def _a_bucket(system: System, grain: str, org: str, as_of: datetime) -> datetime:
    """A closed bucket in which the organization sent something."""
    width = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}[grain]
    ((at,),) = system.query(
        f"SELECT bucket FROM rollup_{grain} FINAL WHERE org_id = {{org:String}} AND sent > 0 "
        "AND bucket < {before:String} ORDER BY bucket LIMIT 1",
        org=org,
        before=f"{as_of - width:%Y-%m-%d %H:%M:%S}",
    )
    return at  # type: ignore[no-any-return]


def _above(grain: str) -> tuple[str, ...]:
    return {"minute": ("hour",), "hour": ("day",), "day": ()}[grain]


def _coarser(at: str, grain: str) -> str:
    return datetime.fromisoformat(at).strftime(PATTERNS[grain])


def _corrupt(system: System, grain: str, org: str, at: datetime, sent: str, facts: str, generation: str) -> None:
    system.query(
        f"INSERT INTO rollup_{grain} (org_id, bucket, sent, delivered, failed, cost_cents, facts, groups.channel, "
        "groups.error_code, groups.sent, groups.delivered, groups.failed, groups.cost_cents, rank_sum, generation) "
        f"SELECT org_id, bucket, {sent}, delivered, failed, cost_cents, {facts}, groups.channel, groups.error_code, "
        f"groups.sent, groups.delivered, groups.failed, groups.cost_cents, rank_sum, {generation} "
        f"FROM rollup_{grain} FINAL WHERE org_id = {{org:String}} AND bucket = {{at:String}}",
        org=org,
        at=f"{at:%Y-%m-%d %H:%M:%S}",
    )


def _with_other_groups(system: System, org: str, as_of: datetime) -> datetime:
    """Give one hour of an organization other groups, which add up to the same totals; returns its start."""
    at = _a_bucket(system, "hour", org, as_of)
    system.query(
        "INSERT INTO rollup_hour (org_id, bucket, sent, delivered, failed, cost_cents, facts, groups.channel, "
        "groups.error_code, groups.sent, groups.delivered, groups.failed, groups.cost_cents, rank_sum, generation) "
        "SELECT org_id, bucket, sent, delivered, failed, cost_cents, facts, ['pigeon'], [''], [sent], [delivered], "
        "[failed], [cost_cents], rank_sum, generation + 1 FROM rollup_hour FINAL "
        "WHERE org_id = {org:String} AND bucket = {at:String}",
        org=org,
        at=f"{at:%Y-%m-%d %H:%M:%S}",
    )
    return at


def test_a_span_whose_facts_have_expired_is_refused(system: System) -> None:
    system.run("rebuild", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z", code=4)


def test_one_maintenance_command_at_a_time(system: System) -> None:
    hour = ("--from", f"{datetime.now(UTC) - timedelta(hours=1):{FORMAT}}", "--to", "2100-01-01T00:00:00Z")
    system.query(
        "INSERT INTO leases (holder, command, claimed_at, expires_at, version) "
        "VALUES ('other', 'rebuild', now64(6) - 5, now64(6) + 30, 1)"
    )
    system.run("rebuild", *hour, code=4)
    system.query("INSERT INTO leases (holder, command, claimed_at, expires_at, version) "
                 "VALUES ('other', 'rebuild', now64(6) - 5, now64(6) - 1, 2)")  # fmt: skip
    system.run("rebuild", *hour)


def test_an_erasure_takes_what_a_clock_ahead_has_stamped_and_asks_before_it_reaches_far(system: System) -> None:
    for org, table, hours in (("ahead", "facts", 0.5), ("ahead", "dead_letters", 0.7), ("far", "facts", 5)):
        system.database.command(STAMPED[table], parameters={"org": org, "s": int(hours * 3600)})
    assert "s ahead of ClickHouse's now" in system.run("erase", "ahead", "--dry-run")
    system.run("erase", "ahead", "--yes")
    assert "--until" in system.run("erase", "far", "--dry-run")
    system.run("erase", "far", "--yes", code=4)
    system.run("erase", "far", "--yes", "--until", "2020-01-01T00:00:00Z", code=4)
    assert system.query("SELECT count() FROM facts WHERE org_id = 'far'") == [(1,)]
    system.run("erase", "far", "--yes", "--until", "2099-01-01T00:00:00Z")
    for table in STAMPED:
        assert system.query(f"SELECT count() FROM {table} WHERE org_id IN ('ahead', 'far')") == [(0,)]
    ((reach,),) = system.query("SELECT dateDiff('minute', now64(3, 'UTC'), max(at)) FROM erasures WHERE org_id = 'far'")
    assert 290 <= reach <= 300, "the newest record time, not the instant that was allowed"


def test_an_erased_organization_stays_erased_and_the_others_stay_exact(system: System, ledger: Ledger) -> None:
    key = system.run("keys", "create", "org-1").strip()
    preview = system.run("erase", "org-1", "--dry-run")
    assert "1 valid keys" in preview
    assert "until Kafka's own retention" in preview
    with load(system, ledger, rate=200):
        assert "erased org-1" in system.run("erase", "org-1", "--yes")
        replayed = system.run("replay", *span())
        assert "dropped since their organization was erased" in replayed
    ((at,),) = system.query("SELECT toUnixTimestamp64Milli(max(at)) FROM erasures WHERE org_id = 'org-1'")
    kept = {json.loads(value)["event_id"] for when, value in system.records() if when > at and b'"org-1"' in value}
    ledger.keep_only("org-1", kept)
    check_everything(system, ledger, datetime.now(UTC))
    assert reconcile(system)["differences"] == []
    left = "SELECT count() FROM facts WHERE org_id = 'org-1' AND toUnixTimestamp64Milli(record_at) <= {at:Int64}"
    assert system.query(left, at=at) == [(0,)]
    assert key[:12] in system.run("keys", "list", "--org", "org-1")
    assert "revoked" in system.run("keys", "list", "--org", "org-1")
