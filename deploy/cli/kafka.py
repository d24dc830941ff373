"""Kafka for the commands, through librdkafka: its configuration, the topics, and offsets."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType, TopicMetadata

from deploy.cli.topic_checks import (
    IN_SYNC,
    MAX_REPLICAS,
    UNCLEAN,
    UNKNOWN_POLICY,
    TopicState,
    compaction,
    count_partitions,
    least_in_sync,
    missing,
    topic_warnings,
)
from deploy.errors import Refused, Unreachable
from pipeline.core.place import Place
from pipeline.kafka.oauth import expires_at
from schemas.settings import Settings
from schemas.token_file import TokenError, read_token

ANSWER_SECONDS = 5
CONFIG_SECONDS = 2
DEFAULT_PARTITIONS = 8


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


def describe_topics(
    settings: Settings, topics: Iterable[str] | None = None, *, with_config: bool = False
) -> dict[str, TopicState]:
    """Ask the brokers about topics, those of the settings where none are named. Raises Unreachable.

    Their configuration is asked for only where it is wanted: brokers that have none to tell, such as the embedded one,
    leave that question open until it times out.
    """
    admin = AdminClient(client_settings(settings))
    asked = list(settings.topics if topics is None else topics)
    try:
        metadata = admin.list_topics(timeout=ANSWER_SECONDS)
        found = {topic: metadata.topics.get(topic) or _ask(admin, topic) for topic in asked}
    except KafkaException as error:
        raise unreachable(settings, error) from None
    shown = [topic for topic, of_it in found.items() if of_it.error is None]
    configs = _configs(admin, shown) if shown and with_config else {}
    return {topic: _state(len(metadata.brokers), of_it, configs.get(topic, {})) for topic, of_it in found.items()}


def _ask(admin: AdminClient, topic: str) -> TopicMetadata:
    """Metadata of a topic that is not among all, with the reason.

    Brokers leave out those that do not exist and those that we have no right to.
    """
    return admin.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]


def _configs(admin: AdminClient, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """The configuration of each topic that shows it: the mock cluster does not, nor Kafka to who has no right to it."""
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    found = {}
    for resource, future in admin.describe_configs(resources, request_timeout=CONFIG_SECONDS).items():
        try:
            found[resource.name] = {name: entry.value for name, entry in future.result(ANSWER_SECONDS).items()}
        except (KafkaException, TimeoutError):
            continue
    return found


def _state(brokers: int, topic: TopicMetadata, config: Mapping[str, str]) -> TopicState:
    if topic.error is not None:
        is_gone = topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        return TopicState(brokers, 0, {}, is_gone=is_gone, problem=topic.error.str())
    replicas = min((len(partition.replicas) for partition in topic.partitions.values()), default=1)
    return TopicState(brokers, len(topic.partitions), config, replicas)


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


def ensure_topics(settings: Settings, partitions: int | None, *, create: bool) -> list[str]:
    """Make topics of the list that are missing, and describe each in a sentence; one that exists is left as it is.

    Of several none is made unless ``create`` says so: a name that is spelled wrong would be made beside the right one.
    Raises Unreachable, or Refused where a topic loses data or has fewer partitions than asked for; none is made then.
    """
    listed, states = settings.topics, describe_topics(settings, with_config=True)
    standing = {topic: state for topic, state in states.items() if state.partitions}
    if refused := [sentence for t, state in standing.items() if (sentence := _refusal(t, state, partitions))]:
        raise Refused("\n".join(refused))
    said = [_standing(topic, state, partitions) for topic, state in standing.items()]
    absent = {topic: state for topic, state in states.items() if not state.partitions}
    if absent and not (create or len(listed) == 1):
        return [*said, *missing(listed, absent)]
    return [*said, *(_make(settings, topic, state.brokers, partitions) for topic, state in absent.items())]


def _make(settings: Settings, name: str, brokers: int, partitions: int | None) -> str:
    wanted, replicas = partitions or DEFAULT_PARTITIONS, min(brokers, MAX_REPLICAS)
    topic = NewTopic(
        name,
        num_partitions=wanted,
        replication_factor=replicas,
        config={"message.timestamp.type": "LogAppendTime", UNCLEAN: "false", IN_SYNC: str(least_in_sync(replicas))},
    )
    admin = AdminClient(client_settings(settings))
    try:
        admin.create_topics([topic], operation_timeout=ANSWER_SECONDS)[name].result(2 * ANSWER_SECONDS)
    except (KafkaException, TimeoutError) as error:
        raise Unreachable(f"the topic {name} could not be made: {error}") from None
    return f"topic {name}: made with {count_partitions(wanted)}"


def _refusal(name: str, state: TopicState, partitions: int | None) -> str | None:
    if sentence := compaction(name, state):
        return sentence
    if partitions and partitions > state.partitions:
        return (
            f"topic {name}: exists with {count_partitions(state.partitions)}, not {partitions}; perhaps a broker made "
            f"it by itself (auto.create.topics.enable). Add the others: kafka-topics.sh --alter --topic {name} "
            f"--partitions {partitions}"
        )
    return None


def _standing(name: str, state: TopicState, partitions: int | None) -> str:
    said = f"topic {name}: exists with {count_partitions(state.partitions)}"
    if partitions and partitions < state.partitions:
        return f"{said}, not {partitions}; left as it is, since Kafka cannot remove any"
    return "; ".join([said, *([] if state.config else [UNKNOWN_POLICY]), *topic_warnings(name, state)])


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The end of a partition's log as far as it can be read, and the number of offsets hidden behind that.

    An open transaction hides its own records and all behind it until it is committed, aborted or timed out. ``first``
    is the oldest offset that Kafka still has.
    """

    readable: int
    hidden: int = 0
    first: int = 0

    def left(self, next_offset: int) -> int:
        """Offsets that somebody who goes on at ``next_offset`` has not read, hidden ones included.

        All there are where it lies behind the end: the topic was made anew.
        """
        end = self.readable + self.hidden
        return end - max(next_offset if next_offset <= end else 0, self.first)


@dataclass(frozen=True, slots=True)
class LogEnds:
    """The ends of logs that Kafka tells, and a sentence for each topic of which it does not tell all."""

    of: Mapping[Place, LogEnd] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def log_ends(settings: Settings, places: Iterable[Place]) -> LogEnds:
    """The end of each partition; one that does not tell hides no other."""
    asked, problems = list(places), dict[str, str]()
    if not asked:
        return LogEnds()
    admin = AdminClient(client_settings(settings))
    # In this order: records that come in between hide nothing.
    very_ends = _offsets(admin, asked, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED, problems)
    ends = _offsets(admin, asked, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED, problems)
    firsts = _offsets(admin, asked, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED, problems)
    told = very_ends.keys() & ends.keys() & firsts.keys()
    found = {p: LogEnd(ends[p], max(0, very_ends[p] - ends[p]), firsts[p]) for p in asked if p in told}
    return LogEnds(found, problems)


def _offsets(
    admin: AdminClient, places: Sequence[Place], which: OffsetSpec, isolation: IsolationLevel, problems: dict[str, str]
) -> dict[Place, int]:
    """An offset of each partition that tells it; into ``problems`` a sentence for each topic of another one."""
    wanted = {TopicPartition(*place): which for place in places}
    futures = admin.list_offsets(wanted, isolation_level=isolation, request_timeout=ANSWER_SECONDS)
    found = {}
    for of, future in futures.items():
        place = Place(of.topic, of.partition)
        try:
            found[place] = future.result(2 * ANSWER_SECONDS).offset
        except (KafkaException, TimeoutError) as error:
            problems[place.topic] = f"Kafka does not tell where the log of {place} ends ({error})"
    return found


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
