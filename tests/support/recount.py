"""Holds what the system says against a ledger's recount: the tables whole, and the API for some organizations."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from tests.support.ledger import METRICS, NUMBERS, PATTERNS, Ledger
from tests.support.system import System

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TABLE = """
SELECT org_id, formatDateTime(bucket, '%Y-%m-%dT%H:%i:%SZ', 'UTC'), groups.channel, groups.error_code,
       sent, delivered, failed, cost_cents, charged,
       groups.sent, groups.delivered, groups.failed, groups.cost_cents, groups.charged
FROM {table:Identifier} FINAL
"""


def check_tables(system: System, ledger: Ledger, as_of: str) -> None:
    """Every row of every rollup below ``as_of`` equals the recount, totals and groups, and no row is missing."""
    for grain in PATTERNS:
        found_totals, found_groups = _read(system, grain)
        for group_by, found in {None: found_totals, **found_groups}.items():
            expected = {k: v for k, v in ledger.expected(grain, group_by).items() if _is_closed(grain, k[1], as_of)}
            found = {k: v for k, v in found.items() if _is_closed(grain, k[1], as_of)}
            wrong = [
                (k, expected.get(k), found.get(k)) for k in expected.keys() | found if expected.get(k) != found.get(k)
            ]
            assert not wrong, f"{len(wrong)} of {len(expected)} {grain} buckets by {group_by}: {sorted(wrong)[:3]}"


def check_everything(system: System, ledger: Ledger, until: datetime) -> str:
    """Wait until everything is in and ``until`` is closed, then recount tables and dead letters. Returns as_of."""
    system.wait_until_done(120)
    system.wait_for_as_of(int(until.timestamp() * 1000), 60)
    as_of = datetime.fromtimestamp(system.as_of_ms() / 1000, UTC).strftime(FORMAT)
    check_facts(system, ledger)
    check_tables(system, ledger, as_of)
    check_dead_letters(system, ledger)
    return as_of


def check_facts(system: System, ledger: Ledger) -> None:
    """Every event that the brokers took is a fact, and nothing else is: wrong numbers over right facts are the
    rollups' fault, missing facts are the reading's."""
    found = set(system.query("SELECT DISTINCT org_id, event_id, type::String FROM facts"))
    missing, foreign = ledger.events.keys() - found, found - ledger.events.keys()
    assert not missing, f"{len(missing)} of {len(ledger.events)} events that Kafka took are no facts: {_some(missing)}"
    assert not foreign, f"{len(foreign)} facts are of events that must not count: {_some(foreign)}"


def check_places(system: System, inner: Mapping[bytes, bytes]) -> None:
    """Every record that is still in the log is a fact by its identity, or a dead letter by its place: never neither.

    ``inner`` has the event of each value that is an envelope.
    """
    facts = set(system.query("SELECT toUnixTimestamp(minute), org_id, event_id, type::String FROM facts FINAL"))
    letters = set(system.query("SELECT topic, partition, offset FROM dead_letters FINAL"))
    lost = [
        (at, record.value())
        for record in _log(system)
        if (at := (record.topic(), record.partition(), record.offset())) not in letters
        and _identity(inner.get(record.value(), record.value())) not in facts
    ]
    assert not lost, f"{len(lost)} records are neither a fact nor a dead letter: {lost[:3]}"


def _log(system: System) -> list[Message]:
    """Every record that is in the log, but for those of transactions that were given up."""
    config = {"bootstrap.servers": system.broker.bootstrap, "group.id": "recount", "log_level": 0}
    consumer = Consumer({**config, "isolation.level": "read_committed", "enable.partition.eof": True})
    records, left = list[Message](), set[tuple[str, int]](system.places())
    try:
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in left])
        while left:
            for message in consumer.consume(10_000, 10):
                error = message.error()
                if error is None:
                    records.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic(), message.partition()))
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
    return records


def _identity(value: bytes | None) -> tuple[int, str, str, str] | None:
    """The identity of an event as plain Python reads it, or None."""
    try:
        event = json.loads(value or b"")
        at = datetime.fromisoformat(event["occurred_at"])
        return int(at.timestamp()) // 60 * 60, event["org_id"], event["event_id"], event["type"]
    except (ValueError, TypeError, KeyError):
        return None


def _some(identities: set[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(identities)[:3]


_UNCOUNTED = """
WITH (SELECT max(as_of) FROM watermark) AS as_of
SELECT
    (SELECT count() FROM facts FINAL WHERE minute < toStartOfMinute(as_of)) AS facts,
    (SELECT sum(facts) FROM rollup_minute FINAL WHERE bucket < toStartOfMinute(as_of)) AS minutes,
    (SELECT sum(facts) FROM rollup_minute FINAL WHERE bucket < toStartOfHour(as_of)) AS hourly_minutes,
    (SELECT sum(facts) FROM rollup_hour FINAL WHERE bucket < toStartOfHour(as_of)) AS hours
"""


def uncounted(system: System) -> int:
    """How many facts below as_of some grain has not counted yet."""
    ((facts, minutes, hourly_minutes, hours),) = system.query(_UNCOUNTED)
    return abs(int(facts) - int(minutes)) + abs(int(hourly_minutes) - int(hours))


def _read(system: System, grain: str) -> tuple[dict[Any, Any], dict[str | None, dict[Any, Any]]]:
    totals: dict[Any, Any] = {}
    groups: dict[str | None, dict[Any, Any]] = {"channel": {}, "error_code": {}}
    for org, bucket, channels, codes, *columns in system.query(_TABLE, table=f"rollup_{grain}"):
        numbers, grouped = columns[: len(NUMBERS)], columns[len(NUMBERS) :]
        if not any(numbers):
            continue  # a row of zeros says what no row says
        totals[org, bucket] = dict(zip(NUMBERS, map(Decimal, numbers), strict=True))
        keys = {"channel": channels, "error_code": [code or None for code in codes]}
        for name, names in keys.items():
            sums: dict[str, Counter[str | None]] = {number: Counter() for number in NUMBERS}
            for number, values in zip(NUMBERS, grouped, strict=True):
                for key, value in zip(names, values, strict=True):
                    sums[number][key] += value
            groups[name][org, bucket] = {n: {k: v for k, v in by_key.items() if v} for n, by_key in sums.items()}
    return totals, groups


def _is_closed(grain: str, bucket: str, as_of: str) -> bool:
    """Whether a bucket starts before the last one that ``as_of`` (RFC 3339) is in."""
    return bucket < as_of[: {"minute": 16, "hour": 13, "day": 10}[grain]]


def check_dead_letters(system: System, ledger: Ledger) -> None:
    """Every broken record is a dead letter, with its reason and its bytes, and nothing else is."""
    rows = system.query("SELECT reason, hex(value), has_value FROM dead_letters FINAL")
    found = Counter((reason, bytes.fromhex(value) if has else None) for reason, value, has in rows)
    wrong = {key: (found[key], ledger.dead[key]) for key in found | ledger.dead if found[key] != ledger.dead[key]}
    assert not wrong, (
        f"{len(wrong)} of {len(ledger.dead)} kinds of dead letters (found, expected): {[*wrong.items()][:3]}"
    )


def check_api(url: str, key: str, org: str, ledger: Ledger, start: str, end: str) -> str:
    """Every metric, grain and group of an organization over [start, end) as the endpoint answers it.

    Buckets beyond ``as_of`` must be null. Returns the last ``as_of``.
    """
    as_of = ""
    for grain in PATTERNS:
        for group_by in (None, "channel", "error_code"):
            expected = ledger.expected(grain, group_by)
            for metric in METRICS:
                query = {"metric": metric, "granularity": grain, "from": start, "to": end, "limit": "5000"}
                answer = _get(url, key, query | ({"group_by": group_by} if group_by else {}))
                as_of = answer["meta"]["as_of"]
                assert answer["meta"]["next_cursor"] is None
                for bucket in answer["data"]["buckets"]:
                    _check_bucket(bucket, expected.get((org, bucket["bucket_start"])), metric, grain, group_by, as_of)
    return as_of


def _check_bucket(
    bucket: dict[str, Any], row: dict[str, Any] | None, metric: str, grain: str, group_by: str | None, as_of: str
) -> None:
    if not _is_closed(grain, bucket["bucket_start"], as_of):
        assert bucket["groups" if group_by else "value"] is None
    elif group_by:
        found = {group["key"]: group["value"] for group in bucket["groups"]}
        assert found == ((row or {}).get(metric) or {}), bucket
    else:
        assert bucket["value"] == ((row or {}).get(metric) or 0), bucket


def _get(url: str, key: str, query: dict[str, str]) -> Any:
    response = httpx2.get(
        f"{url}/v1/metrics/messages", params=query, headers={"Authorization": f"Bearer {key}"}, timeout=30
    )
    assert response.status_code == 200, response.text
    return exact_json(response.text)


def exact_json(text: str) -> Any:
    """JSON with exact decimals."""
    return json.loads(text, parse_float=Decimal)
