"""``msgmetrics doctor``: a line for everything that a worker and the API need, with the remedy."""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import click
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.cli.clickhouse import LOOK_SECONDS, open_clickhouse
from deploy.cli.context import Context, say
from deploy.cli.kafka import describe_topics, log_ends
from deploy.cli.problems import command_errors
from deploy.cli.topic_checks import (
    TopicState,
    compaction,
    count_partitions,
    count_records,
    missing,
    name_topics,
    topic_notes,
    topic_warnings,
)
from deploy.cli.topic_progress import Stored, other_groups, read_stored, stored_cluster_id
from deploy.errors import CommandError
from deploy.migrations.apply import pending
from deploy.sql import sql
from pipeline.clickhouse.client import sql as pipeline_sql
from pipeline.clock import this_moment
from pipeline.core.clocks import MOST_SKEW_MS, ClockReading
from pipeline.core.place import Place
from pipeline.errors import Stop
from pipeline.registry.errors import RegistryError
from pipeline.registry.schemas import open_schemas
from schemas.connection import first_line, redact
from schemas.settings import Settings

LOOPBACK = {"localhost", "127.0.0.1", "::1", "[::1]"}


@click.command()
@click.pass_obj
def doctor(context: Context) -> None:
    """Check what a worker needs, and say what to do.

    Settings, Kafka, topics, the schema registry, ClickHouse, clocks and migrations. Exit code 1 when something fails.
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
    states: Mapping[str, TopicState] = {}
    try:
        states = describe_topics(settings, with_config=True)
    except CommandError as error:
        yield Finding(Verdict.FAIL, str(error))
    else:
        yield from _kafka(settings, states)
    yield from schema_registry(settings)
    try:
        with command_errors(settings):
            client = open_clickhouse(settings, timeout_seconds=LOOK_SECONDS)
            yield from _clickhouse(client, settings, states)
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


def _kafka(settings: Settings, states: Mapping[str, TopicState]) -> Iterator[Finding]:
    brokers = max(state.brokers for state in states.values())
    yield Finding(Verdict.OK, f"Kafka answers at {settings.kafka_bootstrap} with {brokers} broker(s)")
    yield from (Finding(Verdict.FAIL, sentence) for sentence in missing(settings.topics, states))
    for topic, state in states.items():
        if not state.partitions:
            continue
        yield Finding(Verdict.OK, f"the topic {topic} has {count_partitions(state.partitions)}")
        if sentence := compaction(topic, state):
            yield Finding(Verdict.FAIL, sentence)
        yield from (Finding(Verdict.WARN, sentence) for sentence in topic_warnings(topic, state))
    yield from (Finding(Verdict.NOTE, sentence) for sentence in topic_notes(states))


def schema_registry(settings: Settings) -> Iterator[Finding]:
    """A finding on the schema registry, if one is set."""
    try:
        if (schemas := open_schemas(settings, time.monotonic)) is None:
            return
        schemas.check()
    except (RegistryError, Stop) as error:
        yield Finding(Verdict.FAIL, str(error))
    else:
        yield Finding(Verdict.OK, f"a schema registry answers at {settings.schema_registry_url}")


def _clickhouse(client: Client, settings: Settings, states: Mapping[str, TopicState]) -> Iterator[Finding]:
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
    if left := pending(client):
        yield Finding(Verdict.FAIL, f"migrations are missing: {', '.join(left)}; run `msgmetrics migrate`")
        return
    yield Finding(Verdict.OK, "all migrations are applied")
    as_of_ms = int(client.query(sql("cli/status_as_of")).result_rows[0][0])
    stored = read_stored(client, stored_cluster_id(settings, client))
    found = [*(_history(settings, states, stored) if as_of_ms else ()), *unlisted(settings, stored)]
    if groups := other_groups(client, settings.kafka_group):
        found.append(
            f"workers of the group{'s' if len(groups) > 1 else ''} {', '.join(groups)} write here as well, which is "
            "right where they read other topics, or where one group takes over from another"
        )
    yield from (Finding(Verdict.NOTE, sentence) for sentence in found)


def _history(settings: Settings, states: Mapping[str, TopicState], stored: Stored) -> Iterator[str]:
    """A sentence for each topic of the list that does not hold `as_of` yet, while there are numbers already."""
    for topic, state in states.items():
        if state.partitions and (topic not in stored.topics or topic in stored.retired):
            places = [Place(topic, number) for number in range(state.partitions)]
            ends = log_ends(settings, places)
            read = {place: report.next_offset for place, report in stored.reports.items()}
            count = sum(ends.of[place].left(read.get(place, 0)) for place in places if place in ends.of)
            many = f"at least {count_records(count)}" if ends.problems else count_records(count)
            since = "since it was retired nothing of" if topic in stored.retired else "nothing of"
            yield (
                f"{since} the topic {topic} was read, and Kafka has {many} that nobody has read: as_of will stand "
                "still until they are read, and numbers before it will rise"
            )


def unlisted(settings: Settings, stored: Stored) -> list[str]:
    """A sentence on topics that hold `as_of` without being on the list."""
    if not (held := stored.holding(settings.topics)):
        return []
    were, are, them, they = ("were", "are", "them", "they are") if len(held) > 1 else ("was", "is", "it", "it is")
    return [
        f"{name_topics(held)} {were} read, and {are} not on the list here (MSGMETRICS_KAFKA_TOPIC): as_of waits for "
        f"{them} as well, read or not, until {they} retired; `msgmetrics topics list` says who reads {them}"
    ]


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
