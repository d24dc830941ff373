"""Errors of the pipeline, split by the caller's next step.

::

    PipelineError
    ├── SinkUnavailable      ClickHouse did not take it; try again, nothing is lost
    │   ├── TooMuchAtOnce    it took too long, or too much memory: the same in parts may be taken
    │   └── InsertLasts      somebody's insert into our tables takes longer than any of ours; wait until it has ended
    └── Stop                 the worker cannot go on: it logs one sentence and ends with an exit code
        ├── SinkRefuses      ClickHouse will never take it (rights, a mistake of ours)
        │   └── NotMigrated  a table or column is missing; a worker that has not begun yet waits for `migrate`
        ├── NewerSchema      the database was migrated for a newer version
        ├── LogGap           records are gone from the log that were never read
        ├── KafkaUnavailable Kafka went away while the worker was starting
        └── Stalled          a partition stands still although both answer; a new process may do better
"""

EXIT_PROBLEMS = 1
EXIT_UNREACHABLE = 3
EXIT_REFUSED = 4


class PipelineError(Exception):
    """Base of all errors of the pipeline; the text is a sentence for an operator."""


class SinkUnavailable(PipelineError):
    """ClickHouse cannot be reached or is overloaded. Retry."""


class TooMuchAtOnce(SinkUnavailable):
    """A statement ran out of its time or memory, here or on the server. It may still run there, and take effect."""


class InsertLasts(SinkUnavailable):
    """An insert into our tables has been running for longer than any of ours may."""


class Stop(PipelineError):
    """The worker cannot go on."""

    exit_code = EXIT_REFUSED


class SinkRefuses(Stop):
    """ClickHouse answered, and repeating the same will not help."""


class NotMigrated(SinkRefuses):
    """ClickHouse has no such database, table or column."""


class NewerSchema(Stop):
    """The database was migrated, with a stop, for a version that counts by other rules."""


class LogGap(Stop):
    """Records were deleted from the log before they were read."""


class KafkaUnavailable(Stop):
    """Kafka answered, and went away before the start was complete; a new process waits for it."""

    exit_code = EXIT_UNREACHABLE


class Stalled(Stop):
    """The worker makes no progress, although Kafka and ClickHouse answer."""

    exit_code = EXIT_PROBLEMS
