"""Kafka for the commands, through librdkafka: its configuration, the topic, and offsets."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from deploy.errors import Refused, Unreachable
from pipeline.core.place import Place
from pipeline.kafka.oauth import TokenError, expires_at, read_token
from schemas.message_event import MAX_EVENT_BYTES
from schemas.settings import Settings

ANSWER_SECONDS = 5
CONFIG_SECONDS = 2
DEFAULT_PARTITIONS = 8
MAX_REPLICAS = 3
UNCLEAN, IN_SYNC = "unclean.leader.election.enable", "min.insync.replicas"


def client_settings(settings: Settings, **extra: Any) -> dict[str, Any]:
    """librdkafka's configuration for our settings, its own log switched off. Raises Unreachable without a token."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "security.protocol": settings.kafka_security_protocol,
        "allow.auto.create.topics": False,  # for a producer the default is to allow it
        "log_level": 0,
        "error_cb": lambda _: None,
        **extra,
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        config |= _sasl(settings)
    for name, value in {
        "ssl.ca.location": settings.kafka_ssl_cafile,
        "ssl.certificate.location": settings.kafka_ssl_certfile,
        "ssl.key.location": settings.kafka_ssl_keyfile,
    }.items():
        if value:
            config[name] = value
    return config


def _sasl(settings: Settings) -> dict[str, Any]:
    mechanism = {"sasl.mechanism": settings.kafka_sasl_mechanism}
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        try:
            _check_token(settings.kafka_oauth_token_file)  # librdkafka would swallow the callback's reason
        except TokenError as error:
            raise Unreachable(f"Kafka does not answer at {settings.kafka_bootstrap}: {error}") from None
        return {**mechanism, "oauth_cb": lambda _: _oauth_token(settings.kafka_oauth_token_file)}
    return {
        **mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": settings.kafka_sasl_password,
    }


def _check_token(path: str) -> None:
    now = time.time()
    if expires_at(read_token(path), now) <= now:
        raise TokenError(f"the OAuth token in {path} has expired; whatever writes that file has stopped")


def _oauth_token(path: str) -> tuple[str, float]:
    """The token in the file, and its expiry in epoch seconds; librdkafka asks again shortly before."""
    token = read_token(path)
    return token, expires_at(token, time.time())


@dataclass(frozen=True, slots=True)
class TopicState:
    """The topic as the brokers describe it: ``partitions`` is 0 where there is none, ``config`` is {} where it was not
    asked for or is not shown to us. ``replicas`` are those of the partition that has the fewest."""

    brokers: int
    partitions: int
    config: Mapping[str, str]
    replicas: int = 1


def describe_topic(settings: Settings, *, with_config: bool = False) -> TopicState:
    """Ask the brokers about the topic. Raises Unreachable.

    Its configuration is asked for only where it is wanted: brokers that have none to tell, such as the embedded one,
    leave that question open until it times out.
    """
    admin = AdminClient(client_settings(settings))
    try:
        metadata = admin.list_topics(timeout=ANSWER_SECONDS)
    except KafkaException as error:
        raise unreachable(settings, error) from None
    topic = metadata.topics.get(settings.kafka_topic)
    partitions = len(topic.partitions) if topic is not None and topic.error is None else 0
    config: dict[str, str] = {}
    if partitions and with_config:
        resource = ConfigResource(ResourceType.TOPIC, settings.kafka_topic)
        try:
            found = admin.describe_configs([resource], request_timeout=CONFIG_SECONDS)[resource].result(ANSWER_SECONDS)
            config = {name: entry.value for name, entry in found.items()}
        except (KafkaException, TimeoutError):
            config = {}  # the mock cluster, or no right to see it
    replicas = min((len(p.replicas) for p in topic.partitions.values()), default=1) if partitions else 1
    return TopicState(len(metadata.brokers), partitions, config, replicas)


def cluster_id(settings: Settings) -> str:
    """The id that progress is stored under, as in pipeline/kafka/client.py. Raises Unreachable."""
    if settings.kafka_cluster_id:
        return settings.kafka_cluster_id
    try:
        return AdminClient(client_settings(settings)).list_topics(timeout=ANSWER_SECONDS).cluster_id or "unnamed"
    except KafkaException as error:
        raise unreachable(settings, error) from None


def unreachable(settings: Settings, error: object) -> Unreachable:
    """The sentence for brokers that do not answer."""
    return Unreachable(
        f"Kafka does not answer at {settings.kafka_bootstrap}; start it, or set MSGMETRICS_KAFKA_BOOTSTRAP ({error})"
    )


def ensure_topic(settings: Settings, partitions: int | None) -> str:
    """Make the topic where it is missing, and describe it in a sentence; one that exists is left as it is.

    Raises Unreachable, or Refused where the topic loses data or has fewer partitions than asked for.
    """
    state = describe_topic(settings, with_config=True)
    if state.partitions:
        return _standing(settings, state, partitions)
    wanted, replicas = partitions or DEFAULT_PARTITIONS, min(state.brokers, MAX_REPLICAS)
    topic = NewTopic(
        settings.kafka_topic,
        num_partitions=wanted,
        replication_factor=replicas,
        config={"message.timestamp.type": "LogAppendTime", UNCLEAN: "false", IN_SYNC: str(least_in_sync(replicas))},
    )
    admin = AdminClient(client_settings(settings))
    try:
        admin.create_topics([topic], operation_timeout=ANSWER_SECONDS)[settings.kafka_topic].result(2 * ANSWER_SECONDS)
    except (KafkaException, TimeoutError) as error:
        raise Unreachable(f"the topic {settings.kafka_topic} could not be made: {error}") from None
    return f"topic {settings.kafka_topic}: made with {wanted} partitions"


def _standing(settings: Settings, state: TopicState, partitions: int | None) -> str:
    name = settings.kafka_topic
    if sentence := compaction(settings, state):
        raise Refused(sentence)
    said = f"topic {name}: exists with {count_partitions(state.partitions)}"
    if partitions and partitions > state.partitions:
        raise Refused(
            f"{said}, not {partitions}; perhaps a broker made it by itself (auto.create.topics.enable). "
            f"Add the others: kafka-topics.sh --alter --topic {name} --partitions {partitions}"
        )
    if partitions and partitions < state.partitions:
        return f"{said}, not {partitions}; left as it is, since Kafka cannot remove any"
    return "; ".join([said, *([] if state.config else [_UNKNOWN]), *topic_warnings(state)])


def count_partitions(count: int) -> str:
    """A number of partitions in words."""
    return "1 partition" if count == 1 else f"{count} partitions"


_UNKNOWN = "whether it is compacted is unknown: its configuration cannot be seen (in Kafka, the right DescribeConfigs)"


def compaction(settings: Settings, state: TopicState) -> str | None:
    """A sentence where Kafka deletes records of the topic that nobody has read; None where not, or not known."""
    if "compact" not in state.config.get("cleanup.policy", "delete"):
        return None
    name = settings.kafka_topic
    return (
        f"the topic {name} is compacted: of all events with one key Kafka keeps the newest alone, and the others are "
        f"lost; kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config cleanup.policy=delete"
    )


def least_in_sync(replicas: int) -> int:
    """The replicas that must have a record before it is acknowledged: all but one of three, so that one may be away."""
    return 2 if replicas >= MAX_REPLICAS else 1


def topic_warnings(state: TopicState) -> list[str]:
    """Sentences on configuration of the topic that will cause trouble, with the remedy."""
    found = []
    if int(state.config.get("max.message.bytes", MAX_EVENT_BYTES)) < MAX_EVENT_BYTES:
        found.append(f"max.message.bytes is below the largest event; set it to at least {2 * MAX_EVENT_BYTES}")
    if state.config.get(UNCLEAN, "false") != "false":
        found.append(
            "a broker that lags behind may become the leader of a partition, and what it does not have is lost though "
            f"it was acknowledged; set {UNCLEAN}=false on the topic"
        )
    least, wanted = int(state.config.get(IN_SYNC, least_in_sync(state.replicas))), least_in_sync(state.replicas)
    if least < wanted:
        found.append(
            f"an event is acknowledged once {least} of {state.replicas} replicas has it, and lost with that broker; "
            f"set {IN_SYNC}={wanted} on the topic"
        )
    elif least >= max(state.replicas, 2):
        found.append(
            f"of {state.replicas} replica(s) {least} must have an event before it is acknowledged, so that producers "
            f"stop while one broker is away; set {IN_SYNC}={wanted} on the topic, or give it more replicas"
        )
    return found


def topic_notes(state: TopicState) -> list[str]:
    """Sentences on what is right for some and worth to know for all."""
    found = []
    if not state.config:
        found.append(f"of the topic, {_UNKNOWN}")
    if state.config.get("message.timestamp.type", "LogAppendTime") != "LogAppendTime":
        found.append(
            "the topic keeps producers' timestamps, and its retention counts from them: Kafka may delete an event that "
            "is back-dated by more than the retention before it is read (message.timestamp.type=LogAppendTime counts "
            "from the arrival)"
        )
    if state.partitions == 1:
        found.append("with one partition only one worker has work; Kafka can add partitions at any time")
    return found


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The end of a partition's log as far as it can be read, and the number of offsets hidden behind that.

    An open transaction hides its own records and all behind it until it is committed, aborted or timed out.
    """

    readable: int
    hidden: int = 0


def log_ends(settings: Settings, places: Iterable[Place]) -> dict[Place, LogEnd]:
    """The end of each partition. Raises Unreachable."""
    asked = list(places)
    very_ends = _ends(settings, asked, "read_uncommitted")  # first: records that come in between hide nothing
    ends = _ends(settings, asked, "read_committed")
    return {place: LogEnd(ends[place], max(0, very_ends[place] - ends[place])) for place in asked}


def _ends(settings: Settings, places: Iterable[Place], isolation: str) -> dict[Place, int]:
    config = {"group.id": "message-metrics-status", "isolation.level": isolation}
    consumer = Consumer(client_settings(settings, **config))
    try:
        return {
            place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=ANSWER_SECONDS)[1] for place in places
        }
    except KafkaException as error:
        raise unreachable(settings, error) from None
    finally:
        consumer.close()


def committed_offsets(settings: Settings, places: Iterable[Place]) -> dict[Place, int]:
    """Per partition the next offset that the workers' group has committed, 0 for none. Raises Unreachable."""
    consumer = Consumer(client_settings(settings, **{"group.id": settings.kafka_group}))
    try:
        asked = [TopicPartition(*place) for place in places]
        found = consumer.committed(asked, timeout=2 * ANSWER_SECONDS)
        return {Place(tp.topic, tp.partition): max(tp.offset, 0) for tp in found}
    except KafkaException as error:
        raise unreachable(settings, error) from None
    finally:
        consumer.close()
