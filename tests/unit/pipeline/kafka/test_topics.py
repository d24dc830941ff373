"""No client of ours lets a broker make the topic that it asks for."""

from typing import Any

import aiokafka.admin.client
import aiokafka.client
import pytest
from aiokafka.protocol.metadata import (
    MetadataRequest,
    MetadataRequest_v0,
    MetadataRequest_v1,
    MetadataRequest_v4,
    MetadataRequest_v5,
)

from deploy.cli.kafka import client_settings
from pipeline.kafka.topics import never_create_topics
from schemas.settings import read_settings

MODULES: tuple[Any, ...] = (aiokafka.client, aiokafka.admin.client)


@pytest.fixture
def allowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka as it comes, and afterwards as it was."""
    for module in MODULES:
        monkeypatch.setattr(module, "MetadataRequest", MetadataRequest)


def allows(module: Any, version: Any) -> bool:
    """Whether a question for a topic's metadata, as sent, would have a broker make it."""
    return bool(module.MetadataRequest(["t"]).build(version).encode() == MetadataRequest(["t"]).build(version).encode())


@pytest.mark.usefixtures("allowing")
@pytest.mark.parametrize("version", [MetadataRequest_v4, MetadataRequest_v5])
@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.__name__))
def test_every_question_for_metadata_forbids_creation(module: Any, version: Any) -> None:
    assert allows(module, version), "aiokafka's own does not"
    never_create_topics()
    assert not allows(module, version)


@pytest.mark.usefixtures("allowing")
@pytest.mark.parametrize("version", [MetadataRequest_v0, MetadataRequest_v1])
def test_brokers_without_that_option_are_asked_as_ever(version: Any) -> None:
    never_create_topics()
    assert all(allows(module, version) for module in MODULES)


def test_librdkafka_is_told_too() -> None:
    assert client_settings(read_settings({}))["allow.auto.create.topics"] is False
