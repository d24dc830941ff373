"""Which Kafka cluster commands look at that do not ask Kafka."""

from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from deploy.cli.clickhouse import known_cluster_id
from schemas.settings import read_settings

NOW = datetime.now(UTC)


def report(client: Client, cluster: str, topic: str, minutes_ago: int) -> None:
    row = [cluster, topic, 0, "worker", "reading", 0, 0, NOW - timedelta(minutes=minutes_ago)]
    client.insert("partition_status", [row])


def known(client: Client, topics: str, **settings: str) -> str:
    return known_cluster_id(read_settings({"MSGMETRICS_KAFKA_TOPIC": topics, **settings}), client)


def test_the_cluster_is_that_of_the_newest_report_on_any_topic_that_is_read(client: Client) -> None:
    assert known(client, "a,b") == ""
    report(client, "old", "a", 9)
    report(client, "new", "b", 5)
    report(client, "of others", "c", 1)
    assert (known(client, "a,b"), known(client, "b,a"), known(client, "a"), known(client, "d")) == (
        "new",
        "new",
        "old",
        "",
    )
    assert known(client, "a", MSGMETRICS_KAFKA_CLUSTER_ID="named") == "named"
