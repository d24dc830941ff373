"""TLS and SASL to a real broker, TLS to ClickHouse: who has the credentials works, who has not is told so."""

import asyncio
import dataclasses
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from deploy.cli.accounts import create_key, set_tier
from deploy.cli.clickhouse import open_clickhouse
from deploy.cli.kafka import describe_topics
from deploy.errors import Unreachable
from schemas.api_key import READ_SCOPE
from schemas.connection import connect
from schemas.endpoint import Endpoint
from schemas.settings import SettingsError, read_settings
from schemas.tiers import Tier
from tests.support.certificates import Authority, Identity, TlsFront
from tests.support.kafka_broker import free_port
from tests.support.ledger import Ledger
from tests.support.places import TOPIC
from tests.support.recount import check_api, check_everything
from tests.support.secured import LOGIN_MODULES, PASSWORDS, SecuredBroker, read_until_closed, write_token
from tests.support.system import ROOT, Process, System, require_kafka, wait_until

pytestmark = pytest.mark.timeout(240)
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
TOKEN_SECONDS = 5
BY_PASSWORD = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")


@dataclass
class Secured:
    """A running system in which only TLS is spoken, and the files to speak it."""

    system: System
    kafka: SecuredBroker
    front: TlsFront
    authority: Authority
    stranger: Authority
    client: Identity
    directory: Path
    nothing: Path

    def settings(self, user: str, **others: str) -> dict[str, str]:
        """The environment of a user of ours."""
        changed = {f"MSGMETRICS_{name.upper()}": value for name, value in others.items()}
        scram = {"KAFKA_SASL_USERNAME": user, "KAFKA_SASL_PASSWORD": PASSWORDS[user]}
        return {**self.system.environment, **{f"MSGMETRICS_{n}": v for n, v in scram.items()}, **changed}

    def run(self, environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "deploy.cli", *words],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def worker(self, name: str, environment: dict[str, str]) -> Process:
        process = Process(name, ("-m", "deploy.cli", "worker"), environment, self.directory, cwd=self.nothing)
        self.system.processes.append(process)
        return process


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    require_kafka()
    directory = Path(tmp_path_factory.mktemp("secured"))
    authority, stranger = Authority(directory / "ca"), Authority(directory / "other")
    kafka = SecuredBroker(directory / "kafka", authority)
    client, nothing = authority.issue("worker"), directory / "nothing"
    nothing.mkdir()
    with (
        System(
            directory,
            4,
            broker=kafka.broker,
            kafka_bootstrap=kafka.sasl,
            kafka_security_protocol="SASL_SSL",
            kafka_ssl_cafile=str(authority.cafile),
            kafka_sasl_username="operator",
            kafka_sasl_password=PASSWORDS["operator"],
            lateness_seconds="1",
        ) as system,
        TlsFront(authority.issue("clickhouse"), system.clickhouse_port, authority.cafile) as front,
    ):
        system.environment |= {
            "MSGMETRICS_CLICKHOUSE_URL": f"https://default:x@127.0.0.1:{front.port}/default",
            "MSGMETRICS_CLICKHOUSE_SSL_CAFILE": str(authority.cafile),
            "MSGMETRICS_CLICKHOUSE_SSL_CERTFILE": str(client.cert),
            "MSGMETRICS_CLICKHOUSE_SSL_KEYFILE": str(client.key),
        }
        yield Secured(system, kafka, front, authority, stranger, client, directory, nothing)


def test_every_mechanism_with_a_password_and_tls_all_the_way_from_the_record_to_the_answer(secured: Secured) -> None:
    system, now = secured.system, datetime.now(UTC)
    workers = {
        mechanism: secured.worker(
            mechanism, secured.settings("worker", kafka_sasl_mechanism=mechanism, admin_port=str(free_port()))
        )
        for mechanism in BY_PASSWORD
    }
    url = system.start_api()
    set_tier(system.database, "org-0", Tier.SCALE)
    key = create_key(system.database, "org-0", (READ_SCOPE,), None, now)
    ledger, pick = Ledger(seed=21, orgs=5), random.Random(1)
    system.produce(ledger.records((now - timedelta(minutes=pick.randrange(200)) for _ in range(3000)), now))
    check_everything(system, ledger, now)
    start, end = (now - timedelta(hours=5)).strftime(FORMAT), (now + timedelta(hours=2)).strftime(FORMAT)
    check_api(url, key, "org-0", ledger, start, end)
    assert system.run("doctor").count("FAIL") == 0
    for mechanism, worker in workers.items():
        assert "reading {" in worker.log.read_text(), f"a worker did not get in by {mechanism}"
        assert worker.end() == 0
    assert not list(secured.nothing.iterdir()), "a worker writes no file where it runs: its root is read-only"
    written = "".join(file.read_text(errors="replace") for file in secured.directory.glob("*.log"))
    assert "reading" in written
    assert not [password for password in PASSWORDS.values() if password in written]


def test_an_oauth_token_is_read_again_when_the_brokers_ask_for_a_new_one(secured: Secured, tmp_path: Path) -> None:
    token, system = tmp_path / "token", secured.system
    oauth = {"kafka_sasl_mechanism": "OAUTHBEARER", "kafka_oauth_token_file": str(token)}
    write_token(token, "operator", TOKEN_SECONDS)
    operator = read_settings(secured.settings("operator", **oauth))
    assert describe_topics(operator)[TOPIC].partitions == 4
    write_token(token, "worker", TOKEN_SECONDS)
    worker = secured.worker("oauth", secured.settings("worker", admin_port=str(free_port()), **oauth))

    def reads() -> bool:
        write_token(token, "worker", TOKEN_SECONDS)  # a worker may take longer than that to start
        return "reading {" in worker.log.read_text()

    wait_until("the first session", reads, 20)
    write_token(token, "operator", -60)
    with pytest.raises(Unreachable, match="has expired"):
        describe_topics(operator)
    write_token(token, "worker", 3600)
    ledger, now = Ledger(seed=22, orgs=5), datetime.now(UTC)
    pause = now + timedelta(seconds=TOKEN_SECONDS)
    wait_until("the end of the first token", lambda: datetime.now(UTC) > pause, 20)
    count = system.produce(ledger.records(iter([now] * 500), now))
    facts = "SELECT count() FROM facts WHERE startsWith(event_id, '22-')"
    wait_until("the facts after it", lambda: system.query(facts)[0][0] >= len(ledger.events), 40)
    assert count >= 500
    assert worker.end() == 0


@pytest.mark.parametrize("rights", [(AclOperation.READ,), (AclOperation.READ, AclOperation.DESCRIBE)])
def test_a_right_that_is_taken_away_while_a_worker_runs_is_waited_for(
    secured: Secured, rights: tuple[AclOperation, ...]
) -> None:
    system, admin = secured.system, secured.kafka.broker.admin()
    ledger, began = Ledger(seed=23 + len(rights), orgs=5), datetime.now(UTC)
    port = free_port()
    worker = secured.worker(f"rights-{len(rights)}", secured.settings("worker", admin_port=str(port)))
    worker.admin_url = f"http://127.0.0.1:{port}"
    wait_until("reading", lambda: "reading {" in worker.log.read_text(), 30)
    wait_until("a ready worker", lambda: worker.readiness()[0] == 200, 30)
    taken = [acl for right in rights for acl in _delete_acls(admin, right)]
    system.produce(ledger.records(iter([began] * 50), began))
    wait_until("the reason", lambda: any("refuses the right" in reason for reason in worker.readiness()[1]), 60)
    assert worker.is_alive
    for future in admin.create_acls(taken).values():
        future.result(30)
    facts = f"SELECT count() FROM facts FINAL WHERE startsWith(event_id, '{ledger.seed}-')"
    wait_until("the facts", lambda: system.query(facts) == [(len(ledger.events),)], 60)
    assert worker.end() == 0


def _delete_acls(admin: AdminClient, right: AclOperation) -> list[AclBinding]:
    """Take a right to the topic from the workers; what was deleted."""
    wanted = AclBindingFilter(
        ResourceType.TOPIC, TOPIC, ResourcePatternType.LITERAL, "User:worker", "*", right, AclPermissionType.ALLOW
    )
    return [acl for future in admin.delete_acls([wanted]).values() for acl in future.result(30)]


def test_a_client_certificate_is_a_credential_for_kafka(secured: Secured) -> None:
    mutual = {"kafka_security_protocol": "SSL", "kafka_bootstrap": secured.kafka.mutual}
    files = {"kafka_ssl_certfile": str(secured.client.cert), "kafka_ssl_keyfile": str(secured.client.key)}
    settings = read_settings(secured.settings("worker", **mutual, **files))
    assert describe_topics(settings)[TOPIC].partitions == 4
    assert asyncio.run(read_until_closed(settings)) == describe_cluster_id(secured)


@pytest.mark.parametrize("mechanism", BY_PASSWORD)
def test_both_clients_get_in_by_every_mechanism_and_not_with_anothers_password(
    secured: Secured, mechanism: str
) -> None:
    """librdkafka, which the commands use, and aiokafka, which the worker uses."""
    settings = read_settings(secured.settings("worker", kafka_sasl_mechanism=mechanism))
    assert describe_topics(settings)[TOPIC].partitions == 4
    assert asyncio.run(read_until_closed(settings)) == describe_cluster_id(secured)
    wrong = dataclasses.replace(settings, kafka_sasl_password=PASSWORDS["operator"])
    with pytest.raises(KafkaError):
        asyncio.run(read_until_closed(wrong))


def test_every_mechanism_of_the_settings_is_tried_here() -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({"MSGMETRICS_KAFKA_SASL_MECHANISM": "x"})
    (named,) = re.findall(r"SASL_MECHANISM must be one of (.+), not", str(refused.value))
    assert set(named.split(", ")) == set(LOGIN_MODULES) == {*BY_PASSWORD, "OAUTHBEARER"}


def describe_cluster_id(secured: Secured) -> str:
    """What the broker says to its administrator."""
    return str(secured.kafka.broker.admin().list_topics(timeout=5).cluster_id)


def test_who_lacks_a_credential_is_told_so_without_seeing_any(secured: Secured, tmp_path: Path) -> None:
    write_token(tmp_path / "token", "worker", -60)
    cases = [
        *({"kafka_sasl_password": "not-the-secret", "kafka_sasl_mechanism": mechanism} for mechanism in BY_PASSWORD),
        {"kafka_ssl_cafile": str(secured.stranger.cafile)},
        {"kafka_security_protocol": "PLAINTEXT"},
        {"kafka_sasl_mechanism": "OAUTHBEARER", "kafka_oauth_token_file": str(tmp_path / "token")},
        {"kafka_security_protocol": "SSL", "kafka_bootstrap": secured.kafka.mutual},  # without a client certificate
    ]
    with ThreadPoolExecutor(len(cases)) as pool:
        answers = list(pool.map(lambda wrong: _refusal(secured.settings("operator", **wrong)), cases))
    for answer in answers:
        assert answer.startswith("Kafka does not answer at 127.0.0.1:")
        assert not [secret for secret in (*PASSWORDS.values(), "not-the-secret") if secret in answer]


def _refusal(environment: dict[str, str]) -> str:
    try:
        describe_topics(read_settings(environment))
    except Unreachable as error:
        return str(error)
    return "it let us in"


def test_the_rights_in_kafka_are_no_wider_than_the_tasks(secured: Secured, tmp_path: Path) -> None:
    event = tmp_path / "event.ndjson"
    event.write_bytes(next(Ledger(seed=23).records(iter([datetime.now(UTC)]), datetime.now(UTC))).value or b"")
    worker, stranger = secured.settings("worker"), secured.settings("stranger")
    written = secured.run(worker, "produce", str(event))
    assert written.returncode == 3, written.stderr
    assert "0 of 1 events were acknowledged" in written.stderr, "a worker may not write to the topic it reads"
    assert "Kafka does not show the topic" in secured.run(stranger, "doctor").stdout, "a stranger does not even see it"
    made = secured.run(secured.settings("worker", kafka_topic="another"), "migrate")
    assert made.returncode != 0, "a worker may not make topics"


def test_a_client_certificate_replaces_the_password_for_clickhouse_only_where_there_is_none(secured: Secured) -> None:
    files = {"cafile": str(secured.authority.cafile), "certfile": str(secured.client.cert)}
    place = f"127.0.0.1:{secured.front.port}/default"
    sent = {}
    for user in ("worker", "worker:secret"):
        client = connect(Endpoint(f"https://{user}@{place}", keyfile=str(secured.client.key), **files))
        assert client.query("SELECT 1").result_rows == [(1,)]
        sent[user] = {name.lower() for name in client.headers}  # type: ignore[attr-defined]
    assert "x-clickhouse-ssl-certificate-auth" in sent["worker"]
    assert "authorization" not in sent["worker"]
    assert "authorization" in sent["worker:secret"]


@pytest.mark.parametrize("what", ["authority", "certificate", "plaintext"])
def test_clickhouse_behind_tls_is_not_spoken_to_by_strangers(secured: Secured, what: str) -> None:
    environment = secured.settings("operator")
    match what:
        case "authority":
            environment["MSGMETRICS_CLICKHOUSE_SSL_CAFILE"] = str(secured.stranger.cafile)
        case "certificate":
            del environment["MSGMETRICS_CLICKHOUSE_SSL_CERTFILE"], environment["MSGMETRICS_CLICKHOUSE_SSL_KEYFILE"]
        case "plaintext":
            for name in ("CAFILE", "CERTFILE", "KEYFILE"):
                del environment[f"MSGMETRICS_CLICKHOUSE_SSL_{name}"]
            environment["MSGMETRICS_CLICKHOUSE_URL"] = f"http://127.0.0.1:{secured.front.port}/default"
    refused = secured.front.refused
    with pytest.raises(Unreachable, match="ClickHouse does not answer"):
        open_clickhouse(read_settings(environment))
    assert secured.front.refused > refused
