"""What commands say of topics, by what the brokers tell of them."""

import pytest

from deploy.cli.topic_checks import IN_SYNC, UNCLEAN, TopicState, compaction, missing, topic_notes, topic_warnings

CREATE_TIME = {"message.timestamp.type": "CreateTime"}
GONE = TopicState(1, 0, {}, is_gone=True, problem="unknown topic")
HIDDEN = TopicState(1, 0, {}, problem="not authorized")


def test_a_note_names_all_topics_of_which_it_is_so_and_none_that_is_missing() -> None:
    states = {"a": TopicState(1, 8, CREATE_TIME), "b": TopicState(1, 1, CREATE_TIME), "c": GONE}
    own, lone = topic_notes(states)
    assert own.startswith("the topics a, b keep producers' timestamps")
    assert lone.startswith("of the topic b only one worker has work")


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (["there"], []),
        (["gone"], ["the topic gone does not exist; run `msgmetrics migrate`"]),
        (["there", "gone"], ["the topic gone does not exist; make it, or run `msgmetrics migrate --create`"]),
        (["gone", "lost"], ["the topics gone, lost do not exist; make them, or run `msgmetrics migrate --create`"]),
        (["hidden"], ["Kafka does not show the topic hidden (not authorized); see that this user has the right"]),
    ],
)
def test_a_missing_topic_is_named_with_the_remedy_for_a_list_of_that_length(listed: list[str], said: list[str]) -> None:
    states = {"there": TopicState(1, 8, {}), "gone": GONE, "lost": GONE, "hidden": HIDDEN}
    found = missing(listed, {topic: states[topic] for topic in listed})
    assert len(found) == len(said)
    assert all(sentence.startswith(part) for sentence, part in zip(found, said, strict=True))


@pytest.mark.parametrize(
    ("policy", "loses"),
    [("delete", False), ("compact", True), ("compact,delete", True), ("delete,compact", True), (None, False)],
)
def test_a_topic_that_is_compacted_in_any_way_is_said_to_lose_events(policy: str | None, loses: bool) -> None:
    config = {} if policy is None else {"cleanup.policy": policy}
    sentence = compaction("sent", TopicState(1, 8, config))
    assert bool(sentence) == loses
    assert sentence is None or ("the topic sent is compacted" in sentence and "cleanup.policy=delete" in sentence)


@pytest.mark.parametrize(
    ("partitions", "config", "noted"),
    [
        (8, {"message.timestamp.type": "LogAppendTime"}, []),
        (8, {"message.timestamp.type": "CreateTime"}, ["the topic sent keeps producers' timestamps"]),
        (1, {"message.timestamp.type": "CreateTime"}, ["retention counts from them", "only one worker"]),
        (8, {}, ["of the topic sent, whether it is compacted is unknown"]),
    ],
)
def test_what_is_right_for_some_topics_is_noted_without_a_warning(
    partitions: int, config: dict[str, str], noted: list[str]
) -> None:
    state = TopicState(1, partitions, config)
    assert topic_warnings("sent", state) == []
    found = topic_notes({"sent": state})
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
    found = topic_warnings("sent", TopicState(3, 8, config, replicas))
    assert len(found) == len(warned)
    assert all("the topic sent" in sentence for sentence in found)
    assert all(part in sentence for part, sentence in zip(warned, found, strict=True))
