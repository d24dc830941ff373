"""``msgmetrics doctor``: a line for everything that a worker and the API need, with the remedy."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import click
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.cli.clickhouse import LOOK_SECONDS, open_clickhouse
from deploy.cli.context import Context, say
from deploy.cli.kafka import compaction, count_partitions, describe_topic, topic_notes, topic_warnings
from deploy.cli.problems import command_errors
from deploy.errors import CommandError
from deploy.migrations.apply import pending
from deploy.sql import sql
from pipeline.clickhouse.client import sql as pipeline_sql
from pipeline.clock import this_moment
from pipeline.core.clocks import MOST_SKEW_MS, ClockReading
from schemas.connection import first_line, redact
from schemas.settings import Settings

LOOPBACK = {"localhost", "127.0.0.1", "::1", "[::1]"}


@click.command()
@click.pass_obj
def doctor(context: Context) -> None:
    """Check what a worker needs, and say what to do.

    Settings, Kafka, the topic, ClickHouse, clocks and migrations. Exit code 1 when something fails.
    """
    failed = False
    for finding in examine(context.settings):
        failed |= finding.verdict is Verdict.FAIL
        say(f"{finding.verdict.value:<5} {finding.text}")
    sys.exit(1 if failed else 0)


class Verdict(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    text: str


def examine(settings: Settings) -> Iterator[Finding]:
    """A finding for everything that was looked at, in the order in which it is needed."""
    yield Finding(Verdict.OK, "settings are complete and agree with each other")
    yield from (Finding(Verdict.WARN, sentence) for sentence in security_warnings(settings))
    yield from _kafka(settings)
    try:
        with command_errors(settings):
            client = open_clickhouse(settings, timeout_seconds=LOOK_SECONDS)
            yield from _clickhouse(client, settings)
    except CommandError as error:
        yield Finding(Verdict.FAIL, str(error))


def security_warnings(settings: Settings) -> list[str]:
    """Sentences on connections without encryption or authentication, with the remedy. Loopback is no network."""
    found = []
    brokers = {address.strip().rpartition(":")[0] for address in settings.kafka_bootstrap.split(",")}
    if not brokers <= LOOPBACK and settings.kafka_security_protocol != "SASL_SSL":
        is_named = settings.kafka_security_protocol == "SASL_PLAINTEXT" or settings.kafka_ssl_certfile
        if "SSL" not in settings.kafka_security_protocol.split("_"):
            found.append("Kafka is spoken to in the clear; set MSGMETRICS_KAFKA_SECURITY_PROTOCOL to SASL_SSL or SSL")
        if not is_named:
            found.append("Kafka is not told who this is; use SASL or a client certificate, and rights in Kafka")
    url = urlsplit(settings.clickhouse_url)
    if url.scheme in ("http", "https") and url.hostname not in LOOPBACK:
        if url.scheme == "http":
            found.append("ClickHouse is spoken to in the clear; use https in MSGMETRICS_CLICKHOUSE_URL")
        if (url.username or "default") == "default":
            found.append("ClickHouse is used as its user `default`; use the users of deploy/clickhouse_server")
        if not (url.password or settings.clickhouse_password or settings.clickhouse_ssl_certfile):
            found.append("ClickHouse is used without a password; set MSGMETRICS_CLICKHOUSE_PASSWORD_FILE")
    return found


def _kafka(settings: Settings) -> Iterator[Finding]:
    try:
        state = describe_topic(settings, with_config=True)
    except CommandError as error:
        yield Finding(Verdict.FAIL, str(error))
        return
    yield Finding(Verdict.OK, f"Kafka answers at {settings.kafka_bootstrap} with {state.brokers} broker(s)")
    if not state.partitions:
        yield Finding(Verdict.FAIL, f"the topic {settings.kafka_topic} does not exist; run `msgmetrics migrate`")
        return
    yield Finding(Verdict.OK, f"the topic {settings.kafka_topic} has {count_partitions(state.partitions)}")
    if sentence := compaction(settings, state):
        yield Finding(Verdict.FAIL, sentence)
    yield from (Finding(Verdict.WARN, sentence) for sentence in topic_warnings(state))
    yield from (Finding(Verdict.NOTE, sentence) for sentence in topic_notes(state))


def _clickhouse(client: Client, settings: Settings) -> Iterator[Finding]:
    yield Finding(Verdict.OK, f"ClickHouse {client.server_version} answers at {redact(settings.clickhouse_url)}")
    before = this_moment()
    theirs = int(client.query(sql("cli/server_clock")).result_rows[0][0])
    skew_ms = ClockReading("", theirs, before, this_moment().boot_ms - before.boot_ms).skew_ms()
    if abs(skew_ms) > MOST_SKEW_MS:
        ahead = "behind" if skew_ms > 0 else "ahead of"
        yield Finding(
            Verdict.FAIL,
            f"its clock is {abs(skew_ms)} ms {ahead} this machine's, and a worker reads nothing until they agree; "
            "synchronise both (NTP)",
        )
    else:
        yield Finding(Verdict.OK, "its clock agrees with this machine's")
    if sentence := copies_unasked(int(client.query(sql("cli/replicated_tables")).result_rows[0][0]), settings):
        yield Finding(Verdict.FAIL, sentence)
    if settings.clickhouse_cluster:
        yield synchronised(client, settings.clickhouse_cluster)
    missing = pending(client)
    if missing:
        yield Finding(Verdict.FAIL, f"migrations are missing: {', '.join(missing)}; run `msgmetrics migrate`")
    else:
        yield Finding(Verdict.OK, "all migrations are applied")


def synchronised(client: Client, cluster: str) -> Finding:
    """A finding on the servers of a cluster, which workers synchronise all the time."""
    try:
        servers = client.query(pipeline_sql("state/synchronise")).row_count
    except DatabaseError as error:
        return Finding(
            Verdict.FAIL,
            f"the servers of {cluster} cannot be synchronised, and workers wait for it; run `msgmetrics migrate`, "
            f"and see that each is connected to Keeper or away: {first_line(error)}",
        )
    return Finding(Verdict.OK, f"{servers} servers of {cluster} can be synchronised")


def copies_unasked(replicated: int, settings: Settings) -> str | None:
    """A sentence where tables are replicated and statements do not ask for what makes replicas agree; else None."""
    if not replicated or settings.clickhouse_cluster:
        return None
    return (
        f"{replicated} tables are replicated, but inserts are acknowledged by one replica alone, and another may be "
        "read before it has them; set MSGMETRICS_CLICKHOUSE_CLUSTER to the cluster's name for every process"
    )
