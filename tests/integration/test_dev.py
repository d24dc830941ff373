"""`msgmetrics dev` as a user runs it: started, asked, stopped with Ctrl-C, and started again on the same data."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from deploy.engines.gate import basic
from schemas.connection import connect
from tests.support.ledger import Ledger
from tests.support.recount import check_api
from tests.support.system import ROOT, wait_until

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


TOPICS = ("sent", "delivered", "failed", "charged")


@contextmanager
def dev(data: Path, *options: str, topics: Sequence[str] = ("message-events",)) -> Iterator[dict[str, Any]]:
    """A running dev; yields its dev.json, and checks that Ctrl-C ends it well."""
    words = [sys.executable, "-m", "deploy.cli", "dev", "--data", str(data), "--port", "0", *options]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MSGMETRICS_")} | {
        "MSGMETRICS_LATENESS_SECONDS": "3",
        "MSGMETRICS_KAFKA_TOPIC": ",".join(topics),
    }
    with subprocess.Popen(words, cwd=ROOT, env=clean, stdout=subprocess.PIPE, text=True) as process:
        try:
            file = data / "dev.json"
            wait_until("dev.json", lambda: file.exists() or process.poll() is not None, 60)
            assert process.poll() is None
            assert not [made for made in (data, *data.iterdir()) if stat.S_IMODE(made.stat().st_mode) & 0o077]
            yield json.loads(file.read_text())
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert not file.exists()
        finally:
            process.kill()


def ask(found: dict[str, Any], tier: str, **query: str) -> Any:
    headers = {"Authorization": f"Bearer {found['orgs'][tier]['api_key']}"}
    return httpx2.get(f"{found['api_url']}/v1/metrics/messages", params=query, headers=headers, timeout=10).json()


def cli(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.cli", "--dev", str(data), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def status(url: str, method: str, target: str, **headers: str) -> int:
    """The status of the answer to a statement that is sent with these headers."""
    with closing(HTTPConnection(urlsplit(url).netloc.rpartition("@")[2], timeout=10)) as asking:
        asking.request(method, target, b"SELECT 1", headers)
        return asking.getresponse().status


def check_clickhouse_is_for_holders_of_the_password(found: dict[str, Any]) -> None:
    """And for no web page: one that got to know the password has an Origin, or its own name as Host."""
    url = found["clickhouse_url"]
    right = {"Authorization": basic(urlsplit(url).password or "")}
    assert status(url, "POST", "/", **right) == 200
    assert status(url, "GET", "/ping") == 200
    assert status(url, "POST", "/") == 403
    assert status(url, "POST", "/", Authorization=basic("")) == 403
    assert status(url, "POST", "/", **right, Origin="null") == 403
    assert status(url, "POST", "/", **right, Host="evil.example") == 421
    assert status(url, "GET", "/?query=SELECT+1", **right) == 405


def check_each_type_has_its_topic(data: Path, found: dict[str, Any]) -> None:
    read = "SELECT topic, arraySort(groupUniqArray(type::String)) FROM facts FINAL GROUP BY topic"
    types = {topic: list(kinds) for topic, kinds in connect(found["clickhouse_url"]).query(read).result_rows}
    assert types == {topic: [f"message.{topic}"] for topic in TOPICS}
    listed = json.loads(cli(data, "topics", "list", "--json").stdout)
    assert {(line["topic"], line["state"], line["partitions_stored"]) for line in listed["topics"]} == {
        (topic, "in use", 4) for topic in TOPICS
    }
    assert {p["topic"] for p in json.loads(cli(data, "status", "--json").stdout)["partitions"]} == set(TOPICS)


def test_the_demo_shows_numbers_within_a_minute_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    def has_numbers() -> bool:
        buckets = ask(found, "growth", metric="sent").get("data", {}).get("buckets", [])
        return sum(bucket["value"] or 0 for bucket in buckets) > 100

    with dev(tmp_path, topics=TOPICS) as found:
        assert found["topics"] == list(TOPICS)
        wait_until("numbers from the curl line", has_numbers, 60)
        assert set(found["orgs"]) == {"payg", "starter", "growth", "scale", "custom"}
        wait_until("readiness", lambda: httpx2.get(found["admin_url"] + "/readyz").status_code == 200, 30)
        assert "msgmetrics_worker_events_total" in httpx2.get(found["admin_url"] + "/metrics").text
        assert cli(tmp_path, "doctor").returncode == 0
        check_each_type_has_its_topic(tmp_path, found)
        check_clickhouse_is_for_holders_of_the_password(found)
        assert cli(tmp_path, "dev", "--data", str(tmp_path)).returncode == 4, "two in one directory must not be"
        before = connect(found["clickhouse_url"]).query("SELECT count() FROM facts FINAL").result_rows[0][0]
    with dev(tmp_path, topics=TOPICS) as found:
        client = connect(found["clickhouse_url"])
        assert client.query("SELECT count() FROM facts FINAL").result_rows[0][0] >= before
        after = int(datetime.now(UTC).timestamp() * 1000)
        read = "SELECT toUnixTimestamp64Milli(max(as_of)) FROM watermark"
        wait_until("as_of to go on", lambda: client.query(read).result_rows[0][0] > after, 60)
        assert has_numbers()


def test_what_is_produced_is_what_is_answered(tmp_path: Path) -> None:
    ledger, now = Ledger(seed=9, orgs=3), datetime.now(UTC)
    span = timedelta(days=2)
    file = tmp_path / "events.ndjson"
    lines = [ledger.produced(ledger.event(now - span * n / 3000)).value or b"" for n in range(3000)]
    file.write_bytes(b"\n".join(lines + lines[:100]))
    data = tmp_path / "data"
    data.mkdir(0o700)
    (data / "clickhouse").mkdir(0o755)  # as older versions left both
    (data / "dev.log").touch(0o644)
    with dev(data, "--no-demo") as found:
        done = cli(data, "produce", str(file))
        assert done.returncode == 0, done.stderr
        client = connect(found["clickhouse_url"])
        facts = "SELECT count() FROM facts FINAL"
        wait_until("all facts", lambda: client.query(facts).result_rows[0][0] == 3000, 60)
        end = int(datetime.now(UTC).timestamp() * 1000)
        read = "SELECT toUnixTimestamp64Milli(max(as_of)), (SELECT sum(facts) FROM rollup_minute FINAL) FROM watermark"
        wait_until("all numbers", lambda: _is_past(client.query(read).result_rows[0], end), 60)
        assert cli(data, "orgs", "set", "org-0", "--tier", "custom").returncode == 0
        key = cli(data, "keys", "create", "org-0").stdout.strip()
        start, until = (now - span - timedelta(hours=1)).strftime(FORMAT), (now + timedelta(hours=1)).strftime(FORMAT)
        wait_until("the hours", lambda: _hours_agree(client), 30)
        check_api(found["api_url"], key, "org-0", ledger, start, until)


def _is_past(row: Sequence[int], end: int) -> bool:
    return row[0] >= end and row[1] >= 2990  # the last minute may still be open


def _hours_agree(client: Any) -> bool:
    """Whether every closed hour has all of its minutes."""
    ((wrong,),) = client.query(
        "SELECT count() FROM (SELECT org_id, toStartOfHour(bucket) AS hour, sum(facts) AS n FROM rollup_minute FINAL "
        "GROUP BY org_id, hour) AS m LEFT JOIN (SELECT org_id, bucket, facts FROM rollup_hour FINAL) AS h "
        "ON h.org_id = m.org_id AND h.bucket = m.hour "
        "WHERE m.hour < (SELECT toStartOfHour(max(as_of)) FROM watermark) AND h.facts != m.n"
    ).result_rows
    return bool(wrong == 0)
