"""What `doctor` says of connections that others could listen to or join, of tables, and of topics off the list."""

import pytest

from deploy.cli.doctor import copies_unasked, security_warnings, unlisted
from deploy.cli.topic_progress import Report, Stored
from pipeline.core.place import Place
from schemas.settings import PREFIX, read_settings

FAR = {"KAFKA_BOOTSTRAP": "k1:9093,k2:9093", "CLICKHOUSE_URL": "https://worker:x@ch:8443/d"}
SASL = {"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p"}
CERTIFICATE = {"KAFKA_SSL_CERTFILE": __file__, "KAFKA_SSL_KEYFILE": __file__}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, []),
        ({**FAR, **SASL, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, []),
        ({**FAR, **CERTIFICATE, "KAFKA_SECURITY_PROTOCOL": "SSL"}, []),
        ({**FAR, "KAFKA_SECURITY_PROTOCOL": "SSL"}, ["not told who"]),
        ({**FAR, **SASL, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, ["Kafka is spoken to in the clear"]),
        (FAR, ["Kafka is spoken to in the clear", "not told who"]),
        ({"KAFKA_BOOTSTRAP": "localhost:9092,k2:9092"}, ["in the clear", "not told who"]),
        ({"CLICKHOUSE_URL": "http://ch:8123/d"}, ["ClickHouse is spoken to in the clear", "`default`", "a password"]),
        ({"CLICKHOUSE_URL": "https://api@ch/d", "CLICKHOUSE_PASSWORD": "x"}, []),
        ({"CLICKHOUSE_URL": "http://default@127.0.0.1:8123/d"}, []),
    ],
)
def test_what_is_in_the_clear_or_nameless_beyond_loopback_is_said(given: dict[str, str], said: list[str]) -> None:
    found = security_warnings(read_settings({PREFIX + name: value for name, value in given.items()}))
    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence


@pytest.mark.parametrize(("replicated", "cluster", "fails"), [(0, "", False), (18, "metrics", False), (18, "", True)])
def test_replicated_tables_without_the_setting_that_makes_replicas_agree_fail(
    replicated: int, cluster: str, fails: bool
) -> None:
    found = copies_unasked(replicated, read_settings({PREFIX + "CLICKHOUSE_CLUSTER": cluster}))
    assert bool(found) == fails
    assert found is None or "MSGMETRICS_CLICKHOUSE_CLUSTER" in found


def test_topics_that_are_stored_and_neither_listed_nor_retired_are_noted_by_name() -> None:
    reports = {Place(topic, 0): Report(1) for topic in ("message-events", "old", "older", "ended")}
    stored = Stored(reports, retired={"ended": 1})
    (sentence,) = unlisted(read_settings({}), stored)
    assert sentence.startswith("the topics old, older were read, and are not on the list here")
    assert unlisted(read_settings({PREFIX + "KAFKA_TOPIC": "message-events,old,older"}), stored) == []
