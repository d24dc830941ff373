"""The rights that deploy/kafka/acls.sh gives, for one topic and for several."""

from collections import Counter
from pathlib import Path

import pytest

from schemas.settings import read_settings
from tests.support.secured import acls

LISTS = ["message-events", "sent,delivered,failed", "sent, delivered"]


@pytest.mark.parametrize("listed", LISTS)
def test_every_topic_of_the_list_gets_the_same_rights(
    listed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSGMETRICS_KAFKA_TOPIC", listed)
    given = acls(tmp_path)
    topics = Counter(acl.name for acl in given if acl.restype.name == "TOPIC")
    assert set(topics) == set(read_settings({"MSGMETRICS_KAFKA_TOPIC": listed}).topics)
    assert set(topics.values()) == {9}, "of worker, operator and producer"
    rights = {(acl.principal, acl.operation.name) for acl in given if acl.name == listed.split(",")[0]}
    assert {operation for user, operation in rights if user == "User:worker"} == {"READ", "DESCRIBE"}
    assert {operation for user, operation in rights if user == "User:producer"} == {"WRITE", "DESCRIBE"}
    assert ("User:operator", "DESCRIBE_CONFIGS") in rights
    assert [acl.name for acl in given if acl.restype.name == "GROUP"] == ["message-metrics"] * 2
