"""The real broker takes the compose file's properties, and the engine its configuration, as they stand there."""

import dataclasses
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from deploy.cli.doctor import Verdict, examine
from deploy.cli.kafka import LogEnd, describe_topics, ensure_topics, log_ends
from deploy.cli.topic_checks import IN_SYNC, UNCLEAN, TopicState, topic_notes, topic_warnings
from deploy.clickhouse_server.make_users import DATABASE
from deploy.errors import Refused
from pipeline.core.place import Place
from schemas.connection import connect
from schemas.settings import Settings, read_settings
from tests.support.compose import services, started_cluster_id
from tests.support.engine import ROOT, clickhouse_process
from tests.support.kafka_broker import KafkaBroker
from tests.support.system import require_kafka, wait_until


def kafka_properties() -> dict[str, str]:
    """The image's rule: KAFKA_A_B is a.b, a doubled underscore is one."""
    environment = services()["kafka"]["environment"]
    names = {v: v.removeprefix("KAFKA_").lower() for v in environment if v.startswith("KAFKA_")}
    return {
        re.sub(r"_+", lambda m: "." if m[0] == "_" else "_", name): str(environment[variable])
        for variable, name in names.items()
        if variable != "KAFKA_HEAP_OPTS"
    }


def test_the_real_broker_starts_with_the_properties_and_makes_the_topic(tmp_path: Path) -> None:
    require_kafka()
    properties = kafka_properties()
    assert properties["log.dirs"] in {mount["target"] for mount in services()["kafka"]["volumes"]}
    local = {"://:9092": "://127.0.0.1:{port}", "://:9093": "://127.0.0.1:{controller_port}"}
    local |= {"kafka:9092": "127.0.0.1:{port}", "kafka:9093": "127.0.0.1:{controller_port}"}
    here = {"log.dirs": "{data}/log", UNCLEAN: "true"}  # which the topic must not take over
    for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
        here[name] = properties[name]
        for there, place in local.items():
            here[name] = here[name].replace(there, place)
    assert all("kafka:" not in value for value in here.values())
    data = tmp_path / "kafka" / "log"
    broker = KafkaBroker(data.parent, ROOT / ".cache", {**properties, **here}, cluster_id=started_cluster_id(data))
    broker.start()
    try:
        assert started_cluster_id(data) == broker.admin().list_topics(timeout=10).cluster_id
        settings = read_settings({"MSGMETRICS_KAFKA_BOOTSTRAP": broker.bootstrap})
        (said,) = ensure_topics(settings, None, create=False)
        assert "made with 8 partitions" in said
        (name,), state = settings.topics, described(settings)
        found = topic_warnings(name, state), topic_notes({name: state})
        assert (state.brokers, state.partitions, found) == (1, 8, ([], []))
        assert state.config["message.timestamp.type"] == "LogAppendTime"
        assert (state.replicas, state.config[UNCLEAN], state.config[IN_SYNC]) == (1, "false", "1")
        _check_producers_times(broker, dataclasses.replace(settings, kafka_topic=("own-times",)))
        _check_several(broker, dataclasses.replace(settings, kafka_topic=(name, "sent", "failed")))
        for policy in ("compact", "compact,delete"):
            compacted = policy.replace(",", "-")
            _check_compacted(broker, dataclasses.replace(settings, kafka_topic=(compacted,)), policy)
        unknown = re.findall(r"unknown|unrecognized", (broker.data / "broker.log").read_text(), re.IGNORECASE)
        assert not unknown
        assert _is_healthy(broker)
    finally:
        broker.kill()
    assert not _is_healthy(broker)


def described(settings: Settings) -> TopicState:
    """The first topic of the list, with its configuration."""
    return describe_topics(settings, with_config=True)[settings.topics[0]]


def _check_several(broker: KafkaBroker, settings: Settings) -> None:
    """Of several topics none is made unless told, and then those that are missing; one that is deleted is gone."""
    *_, said = ensure_topics(settings, None, create=False)
    assert said.startswith("the topics sent, failed do not exist; ")
    assert [state.is_gone for state in describe_topics(settings).values()] == [False, True, True]
    assert ensure_topics(settings, 3, create=True)[1:] == [
        "topic sent: made with 3 partitions",
        "topic failed: made with 3 partitions",
    ]
    wait_until("the topics", lambda: all(s.partitions for s in describe_topics(settings).values()), 20)
    (unlike,) = (x for x in examine(settings) if "has 8 partitions" in x.text)
    assert unlike.text == "the topic message-events has 8 partitions"
    places = [Place(topic, 0) for topic in settings.topics]
    assert log_ends(settings, places).of == dict.fromkeys(places, LogEnd(0))
    admin = broker.admin()  # must outlive the future
    admin.delete_topics(["failed"])["failed"].result(30)
    wait_until("the end of the topic", lambda: describe_topics(settings)["failed"].is_gone, 20)
    found = log_ends(settings, places)
    assert (list(found.of), list(found.problems)) == (places[:2], ["failed"])


def _is_healthy(broker: KafkaBroker) -> bool:
    """The word of the container's health check."""
    script = ROOT / "deploy" / "kafka" / "healthy.sh"
    return subprocess.run(["bash", script, broker.bootstrap.rpartition(":")[2]], check=False).returncode == 0


def _check_producers_times(broker: KafkaBroker, settings: Settings) -> None:
    """CreateTime is the normal case: noted and left; fewer partitions than asked for are refused."""
    _create(broker, settings, 1, {"message.timestamp.type": "CreateTime"})
    found = {x.verdict: x.text for x in examine(settings) if "LogAppendTime" in x.text}
    assert list(found) == [Verdict.NOTE]
    (said,) = ensure_topics(settings, None, create=False)
    assert re.search(rf"exists with 1 partition; .* set {UNCLEAN}=false on the topic$", said)
    assert any(x.verdict is Verdict.WARN and UNCLEAN in x.text for x in examine(settings))
    with pytest.raises(Refused, match="--alter --topic own-times --partitions 16"):
        ensure_topics(settings, 16, create=False)
    state = described(settings)
    assert (state.partitions, state.config["message.timestamp.type"]) == (1, "CreateTime")


def _check_compacted(broker: KafkaBroker, settings: Settings, policy: str) -> None:
    _create(broker, settings, 4, {"cleanup.policy": policy})
    assert any(x.verdict is Verdict.FAIL and "cleanup.policy=delete" in x.text for x in examine(settings))
    with pytest.raises(Refused, match=r"cleanup\.policy=delete"):
        ensure_topics(settings, None, create=False)


def _create(broker: KafkaBroker, settings: Settings, partitions: int, config: dict[str, str]) -> None:
    broker.create_topic(settings.topics[0], partitions, config)
    wait_until("the topic", lambda: described(settings).partitions, 20)


LOGS_OF_THE_IMAGE = (
    *("aggregated_zookeeper_log", "asynchronous_insert_log", "asynchronous_metric_log", "background_schedule_pool_log"),
    *("backup_log", "blob_storage_log", "crash_log", "error_log", "metric_log", "opentelemetry_span_log", "part_log"),
    *("processors_profile_log", "query_log", "query_metric_log", "query_thread_log", "query_views_log", "s3queue_log"),
    *("text_log", "trace_log", "zookeeper_connection_log"),
)
"""The logs that the image's own configuration turns on, for ever or for a month."""
LOGS_KEPT = {"backup_log", "crash_log", "error_log", "part_log", "query_log"}


def test_the_engine_heeds_clickhouses_configuration(tmp_path: Path) -> None:
    """With the files where the compose file mounts them; the engine's own defaults stand in for the image's."""
    mounts = {m["target"]: Path(m["source"]) for m in services()["clickhouse"]["volumes"] if m["type"] == "bind"}
    assert set(mounts) == {f"/etc/clickhouse-server/{kind}.d/msgmetrics.xml" for kind in ("config", "users")}
    (tmp_path / "config.d").mkdir()
    config = ET.parse(mounts["/etc/clickhouse-server/config.d/msgmetrics.xml"])
    (tmp_path / "config.d" / "msgmetrics.xml").write_bytes(ET.tostring(config.getroot()))
    (tmp_path / "users.xml").write_text(
        "<clickhouse><profiles><default/></profiles><quotas><default/></quotas>"
        "<users><default><password/><profile>default</profile><quota>default</quota></default></users></clickhouse>"
    )
    logs = "".join(f"<{name}><database>system</database><table>{name}</table></{name}>" for name in LOGS_OF_THE_IMAGE)
    (tmp_path / "config.xml").write_text(
        f"<clickhouse><users_config>{tmp_path}/users.xml</users_config><mysql_port>9004</mysql_port>{logs}</clickhouse>"
    )
    with clickhouse_process(tmp_path, tmp_path / "config.xml") as url:
        client = connect(f"{url}/default")
        client.command(f"CREATE DATABASE {DATABASE}")
        settings = client.query("SELECT name, value FROM system.server_settings").result_rows
        client.command("SYSTEM FLUSH LOGS")
        made = client.query(
            "SELECT name, engine_full FROM system.tables WHERE name LIKE '%_log' AND engine = 'MergeTree'"
        ).result_rows
    assert {name: value for name, value in settings}["max_server_memory_usage_to_ram_ratio"] == "0.8"  # noqa: C416
    assert {name for name, _ in made} == LOGS_KEPT
    assert all(re.search(r" TTL event_date \+ toIntervalDay\((7|90)\)", engine) for _, engine in made), made
