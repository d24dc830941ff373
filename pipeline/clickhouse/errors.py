"""Translates the driver's errors into the pipeline's: to be repeated, or a reason to stop."""

from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DataError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from urllib3.exceptions import ReadTimeoutError

from pipeline.errors import NotMigrated, PipelineError, SinkRefuses, SinkUnavailable, TooMuchAtOnce
from schemas.connection import first_line

# Timeouts, network, overload, a full disk, read-only replicas, coordination (225: none at the moment), a shard that is
# down, a mutation that a replica has not done (341): all pass.
RETRYABLE_CODES = frozenset({
    3, 32, 159, 164, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 279, 285, 286, 289, 319, 341, 369, 394, 416, 425,
    999, 1002
})  # fmt: skip
EXCEEDED_CODES = frozenset({159, 209, 241})
"""A statement's time, that of a connection between servers, memory: over fewer buckets each is less. Where it is all of
the server's memory that is used up, smaller statements are what gets through first."""
TOO_MANY_PARTS = 252
MISSING_CODES = frozenset({16, 47, 60, 81})
"""Of a column in a table or in a statement, of a table, of a database."""
OUR_MISTAKES = (DataError, NotSupportedError, ProgrammingError)
"""Raised by the driver itself, without a code of the server."""


def sink_error(error: Exception, doing: str) -> PipelineError:
    """The pipeline's error for an exception of the driver, by whether the same may succeed later."""
    text = first_line(error)
    code = getattr(error, "code", None)
    if code == TOO_MANY_PARTS and "partitions" in text.lower():  # one block over too many partitions never fits
        return SinkRefuses(f"ClickHouse refuses {doing}: {text}")
    if code in MISSING_CODES:
        remedy = "the database is not set up for this version; run `msgmetrics migrate`"
        return NotMigrated(f"{remedy} (ClickHouse refuses {doing}: {text})")
    if code in EXCEEDED_CODES or (code is None and _is_read_timeout(error)):
        return TooMuchAtOnce(f"ClickHouse is unavailable while {doing}: {text}")
    if code in RETRYABLE_CODES or (code is None and isinstance(error, OperationalError | OSError)):
        return SinkUnavailable(f"ClickHouse is unavailable while {doing}: {text}")
    if isinstance(error, ClickHouseError) and (code is not None or isinstance(error, OUR_MISTAKES)):
        return SinkRefuses(f"ClickHouse refuses {doing}: {text}")
    return SinkUnavailable(f"ClickHouse answered unexpectedly while {doing}: {text}")


def _is_read_timeout(error: BaseException | None) -> bool:
    """Tell whether an answer did not come in time, which the driver raises as a broken connection of that cause.

    A connection that could not be made in time is none: no statement has been sent.
    """
    while error is not None and not isinstance(error, ReadTimeoutError):
        error = error.__cause__
    return error is not None
