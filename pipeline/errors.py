"""What can go wrong, split by what the caller does next.

::

    PipelineError
    ├── SinkUnavailable      ClickHouse did not take it; try again, nothing is lost
    └── Stop                 the worker cannot go on; one sentence and an exit code
        ├── SinkRefuses      ClickHouse will never take it (schema, rights)
        ├── LogGap           records are gone from the log that were never read
        ├── KafkaUnavailable Kafka went away while the worker was starting
        ├── WrongClock       this machine's clock disagrees with ClickHouse's
        └── Stalled          a partition stands still although everybody answers; a new process may do better
"""

from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DataError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

EXIT_PROBLEMS = 1
EXIT_UNREACHABLE = 3
EXIT_REFUSED = 4

# Timeouts, network, overload, a full disk, read-only replicas, coordination, a shard that is down: all pass.
RETRYABLE_CODES = frozenset(
    {
        3,
        32,
        159,
        164,
        202,
        203,
        209,
        210,
        236,
        241,
        242,
        243,
        252,
        279,
        285,
        286,
        289,
        319,
        369,
        394,
        416,
        425,
        999,
        1002,
    }
)
TOO_MANY_PARTS = 252
OUR_MISTAKES = (DataError, NotSupportedError, ProgrammingError)


class PipelineError(Exception):
    """Base of all errors of the pipeline; the text is a sentence for an operator."""


class SinkUnavailable(PipelineError):
    """ClickHouse cannot be reached or is overloaded. Retry."""


class Stop(PipelineError):
    """The worker cannot go on."""

    exit_code = EXIT_REFUSED


class SinkRefuses(Stop):
    """ClickHouse answered, and repeating the same will not help."""


class LogGap(Stop):
    """Records were deleted from the log before they were read."""


class KafkaUnavailable(Stop):
    """Kafka went away between the first question and the start; a new process waits for it."""

    exit_code = EXIT_UNREACHABLE


class WrongClock(Stop):
    """The local clock differs too much from ClickHouse's."""


class Stalled(Stop):
    """The worker makes no progress and nobody else is to blame."""

    exit_code = EXIT_PROBLEMS


def sink_error(error: Exception, doing: str) -> PipelineError:
    """What an exception of the ClickHouse driver means for the caller."""
    text = str(error).split("\n", 1)[0][:300]
    code = getattr(error, "code", None)
    if code == TOO_MANY_PARTS and "partitions" in text.lower():
        return SinkRefuses(f"ClickHouse refuses {doing}: {text}")
    if code in RETRYABLE_CODES or (code is None and isinstance(error, OperationalError | OSError)):
        return SinkUnavailable(f"ClickHouse is unavailable while {doing}: {text}")
    if isinstance(error, ClickHouseError) and (code is not None or isinstance(error, OUR_MISTAKES)):
        return SinkRefuses(f"ClickHouse refuses {doing}: {text}")
    return SinkUnavailable(f"ClickHouse answered unexpectedly while {doing}: {text}")
