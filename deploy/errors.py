"""How a command of ours ends when it cannot do what was asked: one sentence, and an exit code.

::

    CommandError           exit 1   it was done, and something is wrong
    ├── Usage              exit 2   the words of the call are wrong
    ├── Unreachable        exit 3   Kafka, ClickHouse or a running `dev` does not answer
    └── Refused            exit 4   it could be done and must not
"""


class CommandError(Exception):
    """Ends the command with its text on stderr."""

    exit_code = 1


class Usage(CommandError):
    exit_code = 2


class Unreachable(CommandError):
    exit_code = 3


class Refused(CommandError):
    exit_code = 4
