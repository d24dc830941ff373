"""Each task runs as its own user, and is refused what is not its task: by the engine, with the published grants.

The embedded engine knows one caller, ``default``; so it is started with each user's rights given to that name.
"""

import hashlib
import re
import subprocess
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from starlette.testclient import TestClient

from api.app import create_app
from api.reader import QUERY_SECONDS, Reader
from deploy.cli.accounts import create_key, list_keys, revoke_key, set_tier
from deploy.cli.clickhouse import open_clickhouse
from deploy.clickhouse_server.make_users import DATABASE, USERS, published, statements
from deploy.errors import Refused
from deploy.migrations.apply import migrate, pending
from deploy.migrations.stop import stopped
from pipeline.clickhouse.client import sql
from pipeline.clickhouse.deletions import Deletions
from pipeline.clickhouse.store import Store
from pipeline.core import effects as e
from pipeline.core.late_keys import LateKeys
from pipeline.core.progress import Progress, ReadMarks, Started, WriteProgress, WriteStarts
from pipeline.core.records import Columns
from pipeline.core.start import Gap
from pipeline.core.statements.deciding import Order
from pipeline.core.statements.keeping import erase_statements_steps
from pipeline.core.statements.standing import read_months
from pipeline.core.statements.steps import state_steps
from pipeline.repair.lease import run_leased
from pipeline.worker.violations import count_violations
from schemas import tables
from schemas.connection import connect
from schemas.grain import Grain
from schemas.period import month_of
from schemas.settings import read_settings
from schemas.tiers import Tier
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.endpoint import PATH
from tests.support.engine import ROOT, clickhouse_process
from tests.support.kafka_broker import free_port
from tests.support.places import P0

FOLDER = ROOT / "deploy" / "clickhouse_server"
NOW = datetime(2026, 5, 5, 12, tzinfo=UTC)
MINUTE = int(datetime.now(UTC).timestamp()) // 60 - 10
ACCESS_DENIED, READONLY, CONSTRAINT, TOO_MANY_ROWS = 497, 164, 452, 396


@contextmanager
def engine_as(user: str, directory: Path, secrets: Path) -> Iterator[str]:
    """The engine on the directory's data, its caller having exactly the rights and limits of a user."""
    tree = ET.parse(FOLDER / "users.xml").getroot()
    users, hashes = tree.find("users"), ET.parse(secrets / "passwords.xml").getroot().find("users")
    assert users is not None
    assert hashes is not None
    caller = next(u for u in users if u.tag == user)
    caller_as_default = ET.fromstring(ET.tostring(caller))
    caller_as_default.tag = "default"
    ET.SubElement(caller_as_default, "password")
    users.remove(next(u for u in users if u.tag == "default"))
    for other in users:
        other.extend(next(h for h in hashes if h.tag == other.tag))
    users.append(caller_as_default)
    ET.SubElement(next(p for p in tree if p.tag == "profiles"), "default")
    ET.SubElement(next(q for q in tree if q.tag == "quotas"), "default")
    (directory / f"{user}.xml").write_bytes(ET.tostring(tree))
    config = directory / f"{user}-config.xml"
    config.write_text(f"<clickhouse><users_config>{directory / f'{user}.xml'}</users_config></clickhouse>")
    with clickhouse_process(directory, config) as url:
        yield f"{url}/{DATABASE}"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = Path(tmp_path_factory.mktemp("secrets")) / "made"
    subprocess.run([ROOT / "deploy" / "make-secrets.sh", directory], check=True)
    return directory


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, secrets: Path) -> Path:
    """A directory whose database the user `migrate` has made from nothing, and nobody else touched."""
    directory = Path(tmp_path_factory.mktemp("rights"))
    with engine_as("migrate", directory, secrets) as url:
        client = open_clickhouse(read_settings({"MSGMETRICS_CLICKHOUSE_URL": url}), make_database=True)
        migrate(client, 35, 90)
        migrate(client, 30, 60)
        assert pending(client) == []
        with stopped(client, "0001_of_the_next_version.sql", "") as guard:
            guard.await_inserts("facts")
        refused(
            client, "SELECT * FROM system.users", "CREATE USER x", "DROP DATABASE msgmetrics", "TRUNCATE TABLE facts"
        )
        refused(client, "SELECT * FROM file('/etc/passwd', 'LineAsString')", "CREATE DATABASE other")
    return directory


def refused(client: Client, *statements: str, codes: tuple[int, ...] = (ACCESS_DENIED,)) -> None:
    """Each statement is refused for lack of rights and for no other reason."""
    for statement in statements:
        try:
            client.command(statement)
        except DatabaseError as error:
            code = error.code
        else:
            code = 0
        assert code in codes, statement


FACTS = Columns(
    org_id=["a"], event_id=["1"], type=[1], channel=["sms"], error_code=[""], cost_micros=[750_000],
    occurred_ms=[MINUTE * 60_000], record_ms=[MINUTE * 60_000], place=[P0], offset=[0],
)  # fmt: skip


def test_the_worker_does_its_work_and_sees_no_key(place: Path, secrets: Path) -> None:
    with engine_as("worker", place, secrets) as url:
        store = Store(url, "cluster", "worker", 10)
        end, batch = (MINUTE + 1) * 60, str(uuid.uuid4())
        keys = LateKeys.listed((MINUTE, "a"))
        effects: tuple[e.Effect, ...] = (
            e.InsertFacts(FACTS),
            e.ReadState(),
            e.RaiseState(e.State(as_of_ms=0, closing_ms=end * 1000, facts_floor_ms=0, generation=0)),
            e.ReadEarliestFact(),
            *(
                e.CloseBuckets(grain, grain.floor(MINUTE * 60), grain.floor(MINUTE * 60) + grain.seconds, 0)
                for grain in Grain
            ),
            e.StageKeys(batch, keys),
            *(e.RecomputeLate(grain, batch, 0, end, end * 1000, 0) for grain in Grain),
            e.CountStaged(batch),
            e.ReadInserts(),
            e.AwaitInserts(e.UnderWay()),
            WriteStarts((Started(P0, 0, 1),)),
            WriteProgress((Progress(P0, 1, end * 1000),)),
            ReadMarks(),
            e.LogClosing(0, end * 1000, 0),
            e.WriteResync("a"),
        )
        for effect in effects:
            store.perform(effect)
        store.read_stored()
        store.record_gap(P0, Gap(1, 2))
        store.report_partitions([(P0, "reading", 1, 1)])
        store.report_worker("group", [], 0)
        assert count_violations(store.look, end * 1000) == 0
        assert [month.stated for month in read_months(store.look, end * 1000, 35)] == [0]
        client = connect(url)
        assert client.query("SELECT sent FROM rollup_day FINAL").result_rows == [(1,)]
        refused(client, "SELECT * FROM api_keys", "SELECT * FROM secrets", "SELECT * FROM orgs")
        refused(client, "INSERT INTO orgs (org_id, tier) VALUES ('x', 'scale')", "ALTER TABLE watermark DELETE WHERE 1")
        refused(client, "INSERT INTO statements (org_id) VALUES ('x')", "ALTER TABLE statements DELETE WHERE 1")
        Deletions(store).delete("erasure/delete_rows", tables.FACTS, org="nobody", at_ms=1)
        refused(client, "DROP TABLE facts", "TRUNCATE TABLE facts", "CREATE TABLE x (a Int8) ENGINE = Memory")
        refused(client, "SET max_memory_usage = 99999999999", codes=(CONSTRAINT,))


def test_the_operator_manages_keys_and_deletes_but_drops_nothing(place: Path, secrets: Path) -> None:
    with engine_as("operator", place, secrets) as url:
        client = connect(url)
        set_tier(client, "a", Tier.SCALE)
        create_key(client, "a", ("metrics:read",), None, NOW)
        revoke_key(client, list_keys(client)[0].id)
        store = Store(url, "cluster", "erase", 10)
        Deletions(store).delete("erasure/delete_rows", tables.FACTS, org="nobody", at_ms=1)
        store.perform(e.WriteResync())
        past = month_of(MINUTE * 60).before
        client.command(
            "INSERT INTO rollup_day (org_id, bucket, groups.channel, groups.error_code, groups.sent, groups.delivered, "
            f"groups.failed, groups.charged, groups.cost_cents) "
            f"VALUES ('a', {past.start}, ['sms'], [''], [1], [0], [0], [0], [0])"
        )
        store.perform(e.RaiseState(e.State(as_of_ms=MINUTE * 60_000)))
        (result,) = run_leased(store, "close", state_steps(Order(past, "a", partial=True)), print, print)
        assert result.is_stated
        store.perform(e.OrderErasure("a", MINUTE * 60_000))
        assert run_leased(store, "erase", erase_statements_steps("a"), print, print) == (1, ())
        store.write("resuming", sql("statements/resume"))
        refused(client, "DROP TABLE facts", "TRUNCATE TABLE facts", "ALTER TABLE facts DROP COLUMN channel")
        refused(
            client, "ALTER TABLE facts MODIFY TTL minute + toIntervalDay(1)", "CREATE USER x", "DROP DATABASE default"
        )
        sentence = r"the rights of this version .* nothing has changed\. It lacks CREATE TABLE ON msgmetrics\.probe$"
        with pytest.raises(Refused, match=sentence), stopped(client, "0007", ""):
            pytest.fail("a right that is missing is found before anything is changed")


def test_the_api_answers_and_can_neither_write_nor_see_an_event_nor_raise_its_limits(
    place: Path, secrets: Path
) -> None:
    with engine_as("operator", place, secrets) as url:
        client = connect(url)
        set_tier(client, "b", Tier.SCALE)
        key = create_key(client, "b", ("metrics:read",), None, NOW)
    with engine_as("api", place, secrets) as url:
        app = create_app(Reader(url), lambda: int(NOW.timestamp() * 1000), lambda: 0.0)
        with TestClient(app) as http:
            query: dict[str, str] = {"metric": "sent", "granularity": "minute", "limit": "5"}
            for _ in range(2):  # a page, and the next by its cursor
                response = http.get(PATH, params=query, headers={"Authorization": f"Bearer {key}"})
                assert response.status_code == 200, response.text
                query["cursor"] = response.json()["meta"]["next_cursor"]
            grouped = {"metric": "sent", "group_by": "channel"}
            changed = {"from": "2026-05-05T00:00:00Z", "updated_since": "2000-01-01T00:00:00Z"}
            for asked in (grouped, {"metric": "sent", **changed}, {**grouped, **changed}):
                response = http.get(PATH, params=asked, headers={"Authorization": f"Bearer {key}"})
                assert response.status_code == 200, response.text
        client = connect(url, timeout_seconds=QUERY_SECONDS)
        refused(client, "SELECT * FROM facts", "SELECT * FROM dead_letters", "SELECT * FROM system.users")
        refused(client, "SELECT * FROM url('http://127.0.0.1:1/', 'TSV', 'a Int8')")
        refused(client, "INSERT INTO orgs (org_id, tier) VALUES ('x', 'scale')", codes=(ACCESS_DENIED, READONLY))
        refused(client, "DROP TABLE orgs", codes=(ACCESS_DENIED, READONLY))
        refused(client, "SELECT 1 SETTINGS max_execution_time = 60", codes=(CONSTRAINT,))
        refused(client, "SELECT 1 SETTINGS max_rows_to_read = 0", codes=(CONSTRAINT,))
        refused(client, "SELECT 1 SETTINGS readonly = 0", codes=(READONLY, CONSTRAINT))
        refused(client, "SELECT number FROM system.numbers LIMIT 7000000", codes=(TOO_MANY_ROWS, 158, 497))


def test_the_published_files_are_current() -> None:
    for name, text in published().items():
        assert (FOLDER / name).read_text() == text, "run: python -m deploy.clickhouse_server.make_users"


def test_the_sql_takes_hashes_that_are_set_before_it_and_no_password_is_in_either(
    secrets: Path, tmp_path: Path
) -> None:
    """As its first lines say, in one session. The engine understands all, and has no place to keep such users."""
    hashes, script = (secrets / "passwords.sql").read_text(), (FOLDER / "users.sql").read_text()
    assert "cat secrets/passwords.sql deploy/clickhouse_server/users.sql | clickhouse-client" in script
    assert "--param" not in script
    node, session = Node(free_port(), free_port()), {"session_id": "s"}
    with clickhouse_node(tmp_path, node):
        administrator = connect(f"{node.url}/default")
        for statement in hashes.split(";\n")[:-1]:
            administrator.command(statement, settings=session)
        for user in USERS:
            password = (secrets / f"{user.name}-password").read_text()
            assert password not in hashes + script
            (made,) = re.findall(rf"(CREATE USER IF NOT EXISTS {user.name} .+ BY ({{\w+:String}})) DEFAULT", script)
            bound = administrator.command(f"SELECT {made[1]}", settings=session)
            assert bound == hashlib.sha256(password.encode()).hexdigest()
            with pytest.raises(DatabaseError, match="ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND"):
                administrator.command(made[0], settings=session)


def test_every_statement_of_the_sql_is_one_that_the_engine_understands(client: Client) -> None:
    for statement in statements():
        parsed = client.query("SELECT formatQuery({s:String})", parameters={"s": statement}).result_rows[0][0]
        assert parsed.split()[0] in ("CREATE", "GRANT")
    granted = [re.sub(r" TO \w+$", "", s) for s in statements() if s.startswith("GRANT")]
    assert granted == [f"GRANT {grant}" for user in USERS for grant in user.grants]


def test_secrets_are_random_kept_when_made_again_and_only_hashes_reach_clickhouse(
    secrets: Path, tmp_path: Path
) -> None:
    passwords = {user.name: (secrets / f"{user.name}-password").read_text() for user in USERS}
    assert {len(password) for password in passwords.values()} == {64}
    assert len(set(passwords.values())) == len(USERS)
    hashes = (secrets / "passwords.xml").read_text()
    for name, password in passwords.items():
        assert f"<{name}><password_sha256_hex>{hashlib.sha256(password.encode()).hexdigest()}" in hashes
        assert password not in hashes
    subprocess.run([ROOT / "deploy" / "make-secrets.sh", secrets], check=True)
    assert passwords == {user.name: (secrets / f"{user.name}-password").read_text() for user in USERS}
    assert secrets.stat().st_mode & 0o077 == 0
