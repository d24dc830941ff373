"""Which Kafka cluster the stored progress belongs to, for commands that only look at ClickHouse."""

from clickhouse_connect.driver.client import Client

from schemas.settings import Settings

_NEWEST = "SELECT argMax(cluster_id, updated_at) FROM partition_status WHERE topic = {topic:String}"


def known_cluster_id(settings: Settings, client: Client) -> str:
    """The setting, or the cluster of the topic that a worker last reported on; '' before the first report."""
    if settings.kafka_cluster_id:
        return settings.kafka_cluster_id
    return str(client.query(_NEWEST, parameters={"topic": settings.kafka_topic}).result_rows[0][0])
