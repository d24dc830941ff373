"""Exit codes: every error that a command may meet has one, and only one place gives it."""

import re
import socket
import time

import pytest
from aiokafka.errors import KafkaConnectionError
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from deploy.cli.clickhouse import LOOK_SECONDS
from deploy.cli.main import run
from deploy.cli.problems import AUTHENTICATION_FAILED, UNKNOWN_DATABASE, UNKNOWN_TABLE, command_errors
from deploy.cli.topic_checks import TopicState
from deploy.errors import CommandError, Refused, Unreachable, Usage
from pipeline.core.generation import NoGenerationLeft
from pipeline.errors import KafkaUnavailable, SinkRefuses, SinkUnavailable, Stalled
from pipeline.repair.lease import LeaseTaken
from pipeline.repair.replay_reading import NothingToReplay
from schemas.settings import PREFIX, read_settings

SETTINGS = read_settings({"MSGMETRICS_CLICKHOUSE_URL": "http://me:hidden@ch:8123/d"})


def clickhouse(code: int) -> DatabaseError:
    return DatabaseError("no such thing\nand much more", code=code)


@pytest.mark.parametrize(
    ("error", "meant", "sentence"),
    [
        (clickhouse(UNKNOWN_TABLE), Refused, "is not set up"),
        (clickhouse(UNKNOWN_DATABASE), Refused, "does not exist"),
        (clickhouse(AUTHENTICATION_FAILED), Refused, "refuses user and password"),
        (clickhouse(241), CommandError, "answered: no such thing"),
        (OperationalError("refused"), Unreachable, "does not answer at http://"),
        (KafkaConnectionError("refused"), Unreachable, "Kafka does not answer at"),
        (SinkUnavailable("counting: gone"), Unreachable, "counting: gone"),
        (SinkRefuses("no right"), Refused, "no right"),
        (LeaseTaken("another runs"), Refused, "another runs"),
        (NothingToReplay("no such span"), Refused, "no such span"),
        (KafkaUnavailable("went away"), Refused, "went away"),
        (Stalled("stands still"), Refused, "stands still"),
        (NoGenerationLeft("the last one"), Refused, "the last one"),
    ],
)
def test_an_error_becomes_one_sentence_and_an_exit_code(
    error: Exception, meant: type[CommandError], sentence: str
) -> None:
    with pytest.raises(meant, match=re.escape(sentence)) as found, command_errors(SETTINGS):
        raise error
    assert type(found.value) is meant
    assert "\n" not in str(found.value)
    assert "hidden" not in str(found.value)


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), Usage("--from is wrong"), KeyboardInterrupt()])
def test_any_other_error_passes_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as found, command_errors(SETTINGS):
        raise error
    assert found.value is error


@pytest.mark.parametrize(("command", "code"), [("status", 3), ("doctor", 1)])
def test_a_command_that_only_looks_does_not_wait_long_for_a_clickhouse_that_is_silent(
    command: str, code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert LOOK_SECONDS <= 10
    monkeypatch.setattr(f"deploy.cli.{command}.LOOK_SECONDS", 1)
    monkeypatch.setattr("deploy.cli.doctor.describe_topics", lambda *_, **__: {"t": TopicState(1, 0, {})})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(PREFIX + "CLICKHOUSE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/d")
        began = time.monotonic()
        assert run([command]) == code
    assert time.monotonic() - began < 10
    assert "takes connections and does not answer in time" in "".join(capfd.readouterr())
