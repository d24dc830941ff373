"""Commands as a user types them: what is wrong is one sentence, the exit code is right, and nothing is written."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard
from confluent_kafka import Consumer, TopicPartition

from deploy.cli.kafka import ANSWER_SECONDS, describe_topics
from deploy.engines.mock_kafka import MockKafka
from schemas.connection import connect
from schemas.settings import read_settings
from tests.support.engine import ROOT, clickhouse_process

NOWHERE: dict[str, Any] = {
    "MSGMETRICS_KAFKA_BOOTSTRAP": "127.0.0.1:9",
    "MSGMETRICS_CLICKHOUSE_URL": "http://127.0.0.1:9/default",
}
TOPIC = "message-events"


def msgmetrics(*words: str, stdin: bytes = b"", **environment: Any) -> tuple[int, str, str]:
    """Run a command; answers exit code, stdout and stderr."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MSGMETRICS_")}
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *words],
        env={**clean, **environment}, cwd=ROOT, capture_output=True, timeout=60, check=False, input=stdin,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A migrated ClickHouse and a broker, as the environment that names them."""
    kafka = MockKafka()
    kafka.create_topic(TOPIC)
    with clickhouse_process(tmp_path_factory.mktemp("cli")) as url:
        environment: dict[str, Any] = {
            "MSGMETRICS_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "MSGMETRICS_CLICKHOUSE_URL": f"{url}/default",
        }
        assert msgmetrics("migrate", **environment)[0] == 0
        yield environment


def event(number: int, **changes: object) -> bytes:
    at = datetime.now(UTC).isoformat()
    good = {"event_id": f"{number}", "type": "message.sent", "org_id": "a", "channel": "sms", "occurred_at": at}
    return json.dumps({**good, **changes}).encode()


def records(environment: dict[str, Any]) -> int:
    consumer = Consumer(
        {"bootstrap.servers": environment["MSGMETRICS_KAFKA_BOOTSTRAP"], "group.id": "count", "log_level": 0}
    )
    try:
        return sum(consumer.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=5)[1] for p in range(4))
    finally:
        consumer.close()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nonsense",), 2, "No such command"),
        (("orgs", "set", "acme"), 2, "--tier"),
        (("orgs", "set", "acme", "--tier", "gold"), 2, "'gold' is not one of"),
        (("orgs", "set", "x" * 65, "--tier", "growth"), 2, "1 to 64 characters"),
        (("orgs", "set", "", "--tier", "growth"), 2, "1 to 64 characters"),
        (("keys", "create", "a", "--scope", "Metrics"), 2, "noun:verb"),
        (("keys", "create", "a", "--expires", "tomorrow"), 2, "RFC 3339"),
        (("produce", "/no/such/file"), 2, "cannot be read"),
        (("produce", "-"), 1, "standard input has no events; nothing was sent"),
        (("migrate", "--partitions", "0"), 2, "partitions"),
        (("migrate",), 3, "ClickHouse does not answer"),
        (("orgs", "set", "acme", "--tier", "growth"), 3, "ClickHouse does not answer"),
        (("keys", "create", "acme"), 3, "ClickHouse does not answer"),
        (("keys", "list"), 3, "ClickHouse does not answer"),
        (("keys", "revoke", "x"), 3, "ClickHouse does not answer"),
        (("status",), 3, "ClickHouse does not answer"),
        (("--dev", "/no/such/dir", "status"), 3, "no `msgmetrics dev` runs"),
        (("doctor",), 1, ""),
    ],
)
def test_a_wrong_call_or_an_absent_server_is_one_sentence(words: tuple[str, ...], code: int, said: str) -> None:
    found, _, stderr = msgmetrics(*words, **NOWHERE)
    assert (found, said in stderr) == (code, True), stderr


def test_wrong_settings_are_all_named() -> None:
    code, _, stderr = msgmetrics("worker", MSGMETRICS_FLUSH_EVENTS="many", MSGMETRICS_LOG_FORMAT="xml")
    assert code == 2
    assert "MSGMETRICS_FLUSH_EVENTS" in stderr
    assert "MSGMETRICS_LOG_FORMAT" in stderr


def test_doctor_says_what_fails_and_what_to_do(running: dict[str, Any]) -> None:
    code, stdout, _ = msgmetrics("doctor", **NOWHERE)
    assert code == 1
    assert stdout.count("FAIL") == 2
    assert "MSGMETRICS_KAFKA_BOOTSTRAP" in stdout
    code, stdout, _ = msgmetrics("doctor", **running)
    assert (code, "FAIL" in stdout) == (0, False), stdout


def test_a_database_that_is_not_set_up_is_said_to_be(tmp_path: Path) -> None:
    with clickhouse_process(tmp_path) as url:
        for words in (("keys", "list"), ("dead-letters", "list")):
            code, _, stderr = msgmetrics(*words, MSGMETRICS_CLICKHOUSE_URL=f"{url}/default")
            assert code == 4, words
            assert "msgmetrics migrate" in stderr


def test_a_key_is_made_shown_once_listed_and_revoked(running: dict[str, Any]) -> None:
    code, stdout, _ = msgmetrics("keys", "create", "acme", **running)
    key = stdout.strip()
    assert (code, key[:8], len(key)) == (0, "am_live_", 42)
    _, stdout, _ = msgmetrics("keys", "list", "--json", **running)
    (listed,) = [k for k in json.loads(stdout) if k["prefix"] == key[:12]]
    assert key not in stdout
    assert listed["scopes"] == ["metrics:read"]
    stored = connect(running["MSGMETRICS_CLICKHOUSE_URL"]).query("SELECT * FROM api_keys FINAL").result_rows
    assert key not in str(stored)
    assert msgmetrics("keys", "revoke", listed["id"], **running)[0] == 0
    code, _, stderr = msgmetrics("keys", "revoke", key[:12], **running)
    assert code == 4
    assert "revoked already" in stderr
    assert msgmetrics("keys", "revoke", "nothing", **running)[0] == 4


def test_an_ambiguous_prefix_is_refused_with_the_candidates(running: dict[str, Any]) -> None:
    client = connect(running["MSGMETRICS_CLICKHOUSE_URL"])
    rows = [[f"hash{n}", f"twin{n}", "am_live_twin", "a", []] for n in range(2)]
    client.insert("api_keys", rows, column_names=["key_hash", "id", "prefix", "org_id", "scopes"])
    code, _, stderr = msgmetrics("keys", "revoke", "am_live_twin", **running)
    assert code == 4
    assert "twin0" in stderr
    assert "twin1" in stderr
    assert client.query("SELECT count() FROM api_keys FINAL WHERE revoked_at > 0").result_rows[0][0] <= 1


def test_nothing_is_sent_when_a_line_is_bad(running: dict[str, Any], tmp_path: Path) -> None:
    before = records(running)
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join([event(1), b"{broken", event(2, channel="SMS"), b"", event(3)]))
    code, _, stderr = msgmetrics("produce", str(file), **running)
    assert code == 1
    assert "line 2: malformed_json" in stderr
    assert "line 3: invalid_field: channel" in stderr
    assert "2 of 4 lines are not events; nothing was sent" in stderr
    assert records(running) == before


def test_only_twenty_bad_lines_are_shown(running: dict[str, Any]) -> None:
    code, _, stderr = msgmetrics("produce", "-", stdin=b"x\n" * 50, **running)
    assert code == 1
    assert stderr.count("malformed_json") == 20
    assert "30 more" in stderr


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", "-", "/dev/stdin"])
def test_files_are_sent_whole_plain_or_compressed(running: dict[str, Any], tmp_path: Path, suffix: str) -> None:
    lines = b"\n".join(event(n) for n in range(100))
    packed = {".gz": gzip.compress(lines), ".zst": zstandard.compress(lines)}.get(suffix, lines)
    name, stdin = (suffix, lines) if suffix in ("-", "/dev/stdin") else (str(tmp_path / f"events{suffix}"), b"")
    if not stdin:
        Path(name).write_bytes(packed)
    before = records(running)
    assert msgmetrics("produce", name, "--dry-run", stdin=stdin, **running)[:2] == (
        0,
        "100 events are valid; nothing was sent\n",
    )
    assert records(running) == before
    code, stdout, _ = msgmetrics("produce", name, stdin=stdin, **running)
    assert (code, stdout) == (0, f"100 events sent to {TOPIC}\n")
    assert records(running) == before + 100


def test_a_file_that_is_not_what_its_name_says_is_refused(running: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "events.gz"
    file.write_bytes(b"not gzip")
    code, _, stderr = msgmetrics("produce", str(file), **running)
    assert code == 2
    assert "uncompressed" in stderr


def test_produce_that_is_interrupted_while_it_reads_has_sent_nothing(tmp_path: Path) -> None:
    pipe = tmp_path / "events"
    os.mkfifo(pipe)
    for number in (signal.SIGINT, signal.SIGTERM):
        child = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "produce", pipe], cwd=ROOT, stderr=subprocess.PIPE
        )
        with child, pipe.open("wb"):  # which waits for a reader
            child.send_signal(number)
            _, stderr = child.communicate(timeout=30)
        assert (child.returncode, stderr) == (130, b"msgmetrics: interrupted; nothing was sent\n")


def test_produce_without_a_broker_says_so() -> None:
    code, _, stderr = msgmetrics("produce", "-", stdin=event(1), **NOWHERE)
    assert code == 3
    assert "Kafka does not answer" in stderr


def test_status_without_a_worker_is_not_ready_and_says_what_to_do(running: dict[str, Any]) -> None:
    code, stdout, _ = msgmetrics("status", "--json", **running)
    found = json.loads(stdout)
    assert code == 1
    assert found["ready"] is False
    assert "msgmetrics worker" in found["reasons"][0]
    assert [p["partition"] for p in found["partitions"]] == [0, 1, 2, 3]
    assert msgmetrics("status", **running)[0] == 1


def test_every_command_explains_itself() -> None:
    code, stdout, _ = msgmetrics("--help")
    assert code == 0
    for command in ("dev", "worker", "api", "migrate", "orgs", "keys", "produce", "status", "doctor"):
        assert command in stdout
        assert msgmetrics(command, "--help")[0] == 0


def test_what_the_embedded_broker_cannot_tell_is_not_waited_for(running: dict[str, Any]) -> None:
    began = time.monotonic()
    assert describe_topics(read_settings(running))["message-events"].partitions == 4
    assert time.monotonic() - began < ANSWER_SECONDS
