"""The schemas of a registry as workers and commands ask for them."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.core.refusal import Refused
from pipeline.registry.errors import Away, Refuses
from pipeline.registry.schemas import RegistrySchemas, open_schemas
from schemas.message_event import DeadLetterReason
from schemas.settings import Settings, read_settings
from tests.support.schema_registry import FakeRegistry, Scripted
from tests.support.system import wait_until

STRING = {"schema": '"string"'}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry({"/schemas/ids/7": STRING}) as running:
        yield running


def settings(registry: FakeRegistry, **more: str) -> Settings:
    return read_settings({"MSGMETRICS_SCHEMA_REGISTRY_URL": registry.url, **more})


def opened(registry: FakeRegistry, **more: str) -> RegistrySchemas:
    found = open_schemas(settings(registry, **more), time.monotonic)
    assert found is not None
    return found


def test_without_the_setting_there_are_none() -> None:
    assert open_schemas(read_settings({}), time.monotonic) is None


def test_the_setting_without_the_extra_ends_the_start() -> None:
    program = """
import sys
sys.modules["google"] = sys.modules["google.protobuf"] = None
from pipeline.errors import Stop
from pipeline.registry.schemas import open_schemas
from schemas.settings import read_settings
try:
    open_schemas(read_settings({"MSGMETRICS_SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"}), lambda: 0.0)
except Stop as stop:
    print(stop)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.startswith("MSGMETRICS_SCHEMA_REGISTRY_URL needs the extra `registry`; install it: pip install")


def test_readers_come_by_themselves(registry: FakeRegistry) -> None:
    schemas = opened(registry)
    assert schemas.look({7}).missing
    wait_until("the reader", lambda: 7 in schemas.look({7}).readers, 10)
    assert schemas.look({7}).readers[7](b"\2a") == b'"a"'


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Scripted({"schema": "1" * (1 << 20)}), "is larger than 1024 KiB"),
        ({"schema": "", "schemaType": "XML"}, "is of the kind 'XML'"),
    ],
)
def test_whatever_the_registry_does_not_give_is_unknown_and_another_reading_may_have_it(
    registry: FakeRegistry, answer: object, sentence: str
) -> None:
    registry.answers["/schemas/ids/7"] = answer
    schemas = opened(registry)
    wait_until("the verdict", lambda: 7 in schemas.look({7}).readers, 10)
    for read in (schemas.look({7}).readers[7], schemas.ask(7)):
        with pytest.raises(Refused, match=sentence) as refused:
            read(b"\2a")
        assert refused.value.reason is DeadLetterReason.UNKNOWN_SCHEMA


def test_a_command_asks_once_and_does_not_wait(registry: FakeRegistry) -> None:
    schemas = opened(registry)
    assert schemas.ask(7)(b"\2a") == b'"a"'
    with pytest.raises(Refused, match="has no schema 8"):
        schemas.ask(8)(b"\2a")
    registry.answers["/schemas/ids/7"] = Scripted(b"", 503)
    with pytest.raises(Away):
        schemas.ask(7)


@pytest.mark.parametrize("act", [RegistrySchemas.check, lambda schemas: schemas.ask(7)])
@pytest.mark.parametrize("content", [b"", b"two words", b"a\x01b", b"\xff\xfe", "t\u00f6ken".encode()])
def test_a_file_without_a_token_is_a_mistake_in_the_settings(
    registry: FakeRegistry, tmp_path: Path, content: bytes, act: Callable[[RegistrySchemas], object]
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    schemas = opened(registry, MSGMETRICS_SCHEMA_REGISTRY_TOKEN_FILE=str(file))
    with pytest.raises(Refuses, match=r"has no token.*check MSGMETRICS_SCHEMA_REGISTRY_TOKEN_FILE"):
        act(schemas)
    file.write_text("t0ken\n")
    act(schemas)
    assert registry.headers[-1]["Authorization"] == "Bearer t0ken"
