"""Checks what a worker and the API need, one line each, with the remedy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.clickhouse import clickhouse_problem, open_clickhouse
from deploy.errors import CommandError
from deploy.kafka_admin import describe_topic, topic_warnings
from deploy.migrate import pending
from schemas.connection import redact
from schemas.settings import Settings

MAX_SKEW_MS = 1000


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    text: str


def examine(settings: Settings, clock_ms: Callable[[], int]) -> Iterator[Finding]:
    """Everything that was looked at, in the order in which it is needed."""
    yield Finding(Verdict.OK, "settings are complete and agree with each other")
    yield from _kafka(settings)
    try:
        client = open_clickhouse(settings)
        yield from _clickhouse(client, settings, clock_ms)
    except ClickHouseError as error:
        yield Finding(Verdict.FAIL, str(clickhouse_problem(settings, error)))
    except CommandError as error:
        yield Finding(Verdict.FAIL, str(error))


def _kafka(settings: Settings) -> Iterator[Finding]:
    try:
        state = describe_topic(settings)
    except CommandError as error:
        yield Finding(Verdict.FAIL, str(error))
        return
    yield Finding(Verdict.OK, f"Kafka answers at {settings.kafka_bootstrap} with {state.brokers} broker(s)")
    if not state.partitions:
        yield Finding(Verdict.FAIL, f"the topic {settings.kafka_topic} does not exist; run `msgmetrics migrate`")
        return
    yield Finding(Verdict.OK, f"the topic {settings.kafka_topic} has {state.partitions} partitions")
    yield from (Finding(Verdict.WARN, sentence) for sentence in topic_warnings(state))


def _clickhouse(client: Client, settings: Settings, clock_ms: Callable[[], int]) -> Iterator[Finding]:
    yield Finding(Verdict.OK, f"ClickHouse {client.server_version} answers at {redact(settings.clickhouse_url)}")
    before = clock_ms()
    theirs = int(client.query("SELECT toUnixTimestamp64Milli(now64(3))").result_rows[0][0])
    skew = theirs - (before + clock_ms()) // 2
    if abs(skew) > MAX_SKEW_MS:
        yield Finding(Verdict.FAIL, f"its clock differs from this machine's by {skew} ms; synchronise both (NTP)")
    else:
        yield Finding(Verdict.OK, "its clock agrees with this machine's")
    missing = pending(client)
    if missing:
        yield Finding(Verdict.FAIL, f"migrations are missing: {', '.join(missing)}; run `msgmetrics migrate`")
    else:
        yield Finding(Verdict.OK, "all migrations are applied")
