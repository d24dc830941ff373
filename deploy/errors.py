"""Errors of the commands: each ends one with a sentence on stderr and an exit code.

::

    CommandError           exit 1   something is wrong with what was looked at: events in a file, the topic, an answer
    ├── Usage              exit 2   the arguments or settings are wrong
    ├── Unreachable        exit 3   Kafka, ClickHouse or a running `dev` does not answer
    ├── Refused            exit 4   it could be done, and must not be
    └── Interrupted        exit 130 Ctrl-C, and how far it had come
"""


class CommandError(Exception):
    """The end of a command, with its text on stderr."""

    exit_code = 1


class Usage(CommandError):
    exit_code = 2


class Unreachable(CommandError):
    exit_code = 3


class Refused(CommandError):
    exit_code = 4


class Interrupted(CommandError):
    exit_code = 130
