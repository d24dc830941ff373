"""librdkafka's mock cluster: a broker in this process, in memory only. For trying things out.

It has four partitions per topic, makes topics when they are first asked for, starts empty, keeps at most about 5 MB
per partition, and the producers' timestamps, as topics of Kafka do by default (CreateTime).
"""

from confluent_kafka import Producer


class MockKafka:
    """One mock broker on loopback; it lives as long as this object."""

    def __init__(self) -> None:
        self._host = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._host.list_topics(timeout=10).brokers.values()
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

        self._client = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0, "error_cb": lambda _: None})

    def create_topic(self, name: str) -> None:
        """Make a topic by asking for its metadata."""
        self._client.list_topics(name, timeout=10)

    def check(self, seconds: float) -> None:
        """Raise KafkaException where it does not answer within so many seconds."""
        self._client.list_topics(timeout=seconds)
