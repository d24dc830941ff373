"""What `doctor` says of connections that others could listen to or join, and of the topic's configuration."""

import pytest

from deploy.cli.doctor import copies_unasked, security_warnings
from deploy.cli.kafka import IN_SYNC, UNCLEAN, TopicState, compaction, topic_notes, topic_warnings
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


@pytest.mark.parametrize(
    ("policy", "loses"),
    [("delete", False), ("compact", True), ("compact,delete", True), ("delete,compact", True), (None, False)],
)
def test_a_topic_that_is_compacted_in_any_way_is_said_to_lose_events(policy: str | None, loses: bool) -> None:
    config = {} if policy is None else {"cleanup.policy": policy}
    sentence = compaction(read_settings({}), TopicState(1, 8, config))
    assert bool(sentence) == loses
    assert sentence is None or "cleanup.policy=delete" in sentence


@pytest.mark.parametrize(
    ("partitions", "config", "noted"),
    [
        (8, {"message.timestamp.type": "LogAppendTime"}, []),
        (8, {"message.timestamp.type": "CreateTime"}, ["retention counts from them"]),
        (1, {"message.timestamp.type": "CreateTime"}, ["retention counts from them", "only one worker"]),
        (8, {}, ["whether it is compacted is unknown"]),
    ],
)
def test_what_is_right_for_some_topics_is_noted_without_a_warning(
    partitions: int, config: dict[str, str], noted: list[str]
) -> None:
    state = TopicState(1, partitions, config)
    assert topic_warnings(state) == []
    found = topic_notes(state)
    assert len(found) == len(noted)
    assert all(part in sentence for part, sentence in zip(noted, found, strict=True))


@pytest.mark.parametrize(
    ("replicas", "config", "warned"),
    [
        (3, {UNCLEAN: "false", IN_SYNC: "2"}, []),
        (1, {UNCLEAN: "false", IN_SYNC: "1"}, []),
        (2, {UNCLEAN: "false", IN_SYNC: "1"}, []),
        (5, {IN_SYNC: "3"}, []),
        (3, {}, []),
        (3, {UNCLEAN: "true", IN_SYNC: "2"}, [f"set {UNCLEAN}=false"]),
        (3, {UNCLEAN: "true", IN_SYNC: "1"}, [f"set {UNCLEAN}=false", "once 1 of 3 replicas has it"]),
        (3, {IN_SYNC: "3"}, [f"set {IN_SYNC}=2"]),
        (2, {IN_SYNC: "2"}, [f"set {IN_SYNC}=1"]),
        (1, {IN_SYNC: "2"}, [f"set {IN_SYNC}=1"]),
    ],
)
def test_a_topic_that_loses_acknowledged_events_or_stops_with_one_broker_is_warned_of(
    replicas: int, config: dict[str, str], warned: list[str]
) -> None:
    found = topic_warnings(TopicState(3, 8, config, replicas))
    assert len(found) == len(warned)
    assert all(part in sentence for part, sentence in zip(warned, found, strict=True))


@pytest.mark.parametrize(("replicated", "cluster", "fails"), [(0, "", False), (18, "metrics", False), (18, "", True)])
def test_replicated_tables_without_the_setting_that_makes_replicas_agree_fail(
    replicated: int, cluster: str, fails: bool
) -> None:
    found = copies_unasked(replicated, read_settings({PREFIX + "CLICKHOUSE_CLUSTER": cluster}))
    assert bool(found) == fails
    assert found is None or "MSGMETRICS_CLICKHOUSE_CLUSTER" in found
