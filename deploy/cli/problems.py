"""Errors of the drivers and of the pipeline as errors of the commands: the one place that gives them exit codes."""

from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import ReadTimeoutError

from deploy.errors import CommandError, Refused, Unreachable
from pipeline.core.generation import NoGenerationLeft
from pipeline.errors import SinkUnavailable, Stop
from pipeline.registry.errors import Away, RegistryError
from schemas.connection import first_line, redact
from schemas.settings import Settings

UNKNOWN_DATABASE = 81
UNKNOWN_TABLE = 60
AUTHENTICATION_FAILED = 516


@contextmanager
def command_errors(settings: Settings) -> Iterator[None]:
    """Turn the errors that `command_error` knows into CommandError; any other passes. Raises CommandError."""
    try:
        yield
    except Exception as error:
        known = command_error(settings, error)
        if known is None:
            raise
        raise known from None


def command_error(settings: Settings, error: Exception) -> CommandError | None:
    """The command's error for one of the drivers or of the pipeline; None for any other, which is a bug of ours."""
    from aiokafka.errors import KafkaError  # slow, and only a command that fails needs it

    match error:
        case ClickHouseError():
            return clickhouse_problem(settings, error)
        case KafkaError():
            return Unreachable(f"Kafka does not answer at {settings.kafka_bootstrap} ({error!r})")
        case SinkUnavailable() | Away():
            return Unreachable(str(error))
        case Stop() | NoGenerationLeft() | RegistryError():
            return Refused(str(error))
    return None


def clickhouse_problem(settings: Settings, error: Exception) -> CommandError:
    """The sentence for an error of ClickHouse: unreachable, not migrated, or refused."""
    code, said = getattr(error, "code", None), first_line(error)
    where = redact(settings.clickhouse_url)
    if code == UNKNOWN_TABLE:
        return Refused(f"the database at {where} is not set up; run `msgmetrics migrate`")
    if code == UNKNOWN_DATABASE:
        return Refused(f"the database of {where} does not exist; run `msgmetrics migrate`")
    if code == AUTHENTICATION_FAILED:
        return Refused(f"ClickHouse at {where} refuses user and password of MSGMETRICS_CLICKHOUSE_URL")
    if isinstance(error.__cause__, ReadTimeoutError):
        return Unreachable(
            f"ClickHouse at {where} takes connections and does not answer in time; look at its load, and at "
            "system.processes"
        )
    if code is None:
        return Unreachable(f"ClickHouse does not answer at {where}; start it, or set MSGMETRICS_CLICKHOUSE_URL")
    return CommandError(f"ClickHouse at {where} answered: {said}")
