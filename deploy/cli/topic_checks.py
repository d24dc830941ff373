"""Judgement of topics as the brokers describe them, in sentences with the remedy."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from schemas.message_event import MAX_EVENT_BYTES

MAX_REPLICAS = 3
UNCLEAN, IN_SYNC = "unclean.leader.election.enable", "min.insync.replicas"
UNKNOWN_POLICY = (
    "whether it is compacted is unknown: its configuration cannot be seen (in Kafka, the right DescribeConfigs)"
)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the brokers describe it: ``partitions`` is 0 where they show none, and ``problem`` says why then.

    ``is_gone`` says that they know no such topic, which any other problem leaves open. ``config`` is {} where it was
    not asked for or is not shown to us. ``replicas`` are those of the partition that has the fewest.
    """

    brokers: int
    partitions: int
    config: Mapping[str, str]
    replicas: int = 1
    is_gone: bool = False
    problem: str = ""


def count_partitions(count: int) -> str:
    """A number of partitions in words."""
    return "1 partition" if count == 1 else f"{count} partitions"


def count_records(count: int) -> str:
    """A number of records in words."""
    return "1 record" if count == 1 else f"{count} records"


def name_topics(names: Collection[str]) -> str:
    """One topic or several in words."""
    return f"the topic{'s' if len(names) > 1 else ''} {', '.join(names)}"


def not_shown(topic: str, state: TopicState) -> str:
    """The sentence on a topic that may exist."""
    return f"Kafka does not show the topic {topic} ({state.problem}); see that this user has the right Describe on it"


def missing(listed: Sequence[str], states: Mapping[str, TopicState]) -> list[str]:
    """Sentences on topics of the list that the brokers do not show, with the remedy."""
    gone = [topic for topic in listed if topic in states and states[topic].is_gone]
    hidden = [topic for topic in listed if topic in states and not (states[topic].partitions or states[topic].is_gone)]
    found = [not_shown(topic, states[topic]) for topic in hidden]
    if gone:
        remedy = "run `msgmetrics migrate`"
        if len(listed) > 1:
            remedy = f"make {'them' if len(gone) > 1 else 'it'}, or run `msgmetrics migrate --create`"
        found.append(f"{name_topics(gone)} do{'' if len(gone) > 1 else 'es'} not exist; {remedy}")
    return found


def compaction(topic: str, state: TopicState) -> str | None:
    """A sentence where Kafka deletes records of the topic that nobody has read; None where not, or not known."""
    if "compact" not in state.config.get("cleanup.policy", "delete"):
        return None
    return (
        f"the topic {topic} is compacted: of all events with one key Kafka keeps the newest alone, and the others are "
        f"lost; kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy=delete"
    )


def least_in_sync(replicas: int) -> int:
    """The replicas that must have a record before it is acknowledged: all but one of three, so that one may be away."""
    return 2 if replicas >= MAX_REPLICAS else 1


def topic_warnings(topic: str, state: TopicState) -> list[str]:
    """Sentences on configuration of the topic that will cause trouble, with the remedy."""
    found = []
    if int(state.config.get("max.message.bytes", MAX_EVENT_BYTES)) < MAX_EVENT_BYTES:
        found.append(
            f"max.message.bytes of the topic {topic} is below the largest event; set it to at least "
            f"{2 * MAX_EVENT_BYTES}"
        )
    if state.config.get(UNCLEAN, "false") != "false":
        found.append(
            f"a broker that lags behind may become the leader of a partition of the topic {topic}, and what it does "
            f"not have is lost though it was acknowledged; set {UNCLEAN}=false on the topic"
        )
    least, wanted = int(state.config.get(IN_SYNC, least_in_sync(state.replicas))), least_in_sync(state.replicas)
    if least < wanted:
        found.append(
            f"an event of the topic {topic} is acknowledged once {least} of {state.replicas} replicas has it, and lost "
            f"with that broker; set {IN_SYNC}={wanted} on the topic"
        )
    elif least >= max(state.replicas, 2):
        found.append(
            f"of {state.replicas} replica(s) of the topic {topic} {least} must have an event before it is "
            f"acknowledged, so that producers stop while one broker is away; set {IN_SYNC}={wanted} on the topic, or "
            "give it more replicas"
        )
    return found


def topic_notes(states: Mapping[str, TopicState]) -> list[str]:
    """Sentences on what is right for some and worth to know for all, each over all topics of which it is so."""
    there = {topic: state for topic, state in states.items() if state.partitions}
    found = [f"of the topic {topic}, {UNKNOWN_POLICY}" for topic, state in there.items() if not state.config]
    if own := [t for t, state in there.items() if state.config.get("message.timestamp.type") == "CreateTime"]:
        found.append(
            f"{name_topics(own)} keep{'' if len(own) > 1 else 's'} producers' timestamps, and retention counts from "
            "them: Kafka may delete an event that is back-dated by more than the retention before it is read "
            "(message.timestamp.type=LogAppendTime counts from the arrival)"
        )
    if lone := [topic for topic, state in there.items() if state.partitions == 1]:
        found.append(
            f"of {name_topics(lone)} only one worker has work, with one partition; Kafka can add partitions at any time"
        )
    return found
