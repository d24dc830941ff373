"""An embedded broker that has the topic, and a file of ten events."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.engines.mock_kafka import MockKafka
from schemas.settings import Settings, read_settings
from tests.support.producing import event


@pytest.fixture(scope="module")
def where() -> Iterator[Settings]:
    kafka = MockKafka()
    kafka.create_topic("message-events")
    yield read_settings({"MSGMETRICS_KAFKA_BOOTSTRAP": kafka.bootstrap})
    del kafka  # it answers as long as it is held


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "events"
    file.write_bytes(b"\n".join(event(n) for n in range(10)))
    return file
