"""Topics as ClickHouse has them: what is stored of each, which are retired, and who reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clickhouse_connect.driver.client import Client

from deploy.cli.clickhouse import known_cluster_id
from deploy.cli.kafka import cluster_id
from deploy.errors import CommandError
from deploy.sql import sql
from pipeline.clickhouse.client import sql as pipeline_sql
from pipeline.core.place import Place
from schemas.settings import Settings

READING_SECONDS = 10
"""A worker that has not reported for so long is not taken to read."""
GROUPS_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Report:
    """Progress of a partition, and its owner's last report; instants are epoch milliseconds, 0 for none."""

    next_offset: int
    watermark_ms: int = 0
    owner: str = ""
    status: str = ""
    log_end_offset: int = 0
    reported_ms: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """Progress of all topics of a Kafka cluster. ``retired`` has when each that is retired was; ``readers`` the workers
    that reported on a topic just now."""

    reports: Mapping[Place, Report] = field(default_factory=dict)
    retired: Mapping[str, int] = field(default_factory=dict)
    readers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def topics(self) -> frozenset[str]:
        """The topics of which progress is stored, retired ones included."""
        return frozenset(place.topic for place in self.reports)

    def holding(self, listed: Sequence[str]) -> list[str]:
        """The topics that hold `as_of` without being on this list."""
        return sorted(self.topics - self.retired.keys() - set(listed))


def stored_cluster_id(settings: Settings, client: Client) -> str:
    """The Kafka cluster that progress is stored under; '' where neither workers nor brokers tell.

    No worker may have reported yet on the topics of a new list: then it is the brokers' own.
    """
    if known := known_cluster_id(settings, client):
        return known
    try:
        return cluster_id(settings)
    except CommandError:
        return ""


def read_stored(client: Client, cluster_id: str) -> Stored:
    """Read what ClickHouse has of the topics of a Kafka cluster. Raises what the driver raises."""

    def rows(statement: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        return client.query(statement, parameters={"cluster_id": cluster_id, **parameters}).result_rows

    reports, retired = {}, set()
    for topic, number, offset, mark, owner, status, end, reported, is_retired in rows(pipeline_sql("look/partitions")):
        report = Report(int(offset), int(mark), str(owner), str(status), int(end), int(reported))
        reports[Place(str(topic), int(number))] = report
        if is_retired:
            retired.add(topic)
    return Stored(
        reports,
        {topic: int(at) for topic, at in rows(sql("cli/retired_topics")) if topic in retired},
        {topic: list(owners) for topic, owners in rows(sql("cli/topic_readers"), seconds=READING_SECONDS)},
    )


def other_groups(client: Client, ours: str, seconds: int = GROUPS_SECONDS) -> list[str]:
    """Consumer groups other than ours whose workers reported recently: they write into this database as well."""
    found = client.query(sql("cli/groups"), parameters={"seconds": seconds}).result_rows
    return [str(group) for (group,) in found if group != ours]
