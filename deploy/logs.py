"""Log lines of every process: JSON objects or text, to stderr or a file."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.terminal import safe, safe_json


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, its fields, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return safe_json(line)


class TextFormatter(logging.Formatter):
    """A line of text for people: the fields follow the message, the traceback follows both on indented lines.

    Since these are indented, no error's text with a newline in it can pose as an entry of the log.
    """

    def __init__(self, head: str = "%(asctime)s %(levelname)s %(name)s: %(message)s") -> None:
        super().__init__(head)

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        return safe(" ".join([super().formatMessage(record), *(f"{name}={value}" for name, value in fields.items())]))

    def formatException(self, ei: Any) -> str:
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return _indented(stack_info)


def _indented(text: str) -> str:
    return "\n".join("  " + safe(line) for line in text.split("\n"))


def configure_logs_of_commands() -> None:
    """Have what libraries log in a command reach stderr as lines that are safe for a terminal."""
    assert logging.lastResort
    logging.lastResort.setFormatter(TextFormatter("%(message)s"))


def configure_logs(log_format: str, level: str, file: Path | None = None) -> None:
    """Set up logging for this process. Third-party libraries log from warning on, at debug from info on.

    No line names a thread, a process or a place in the source, so looking them up for each record is switched off.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.FileHandler(file) if file else logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for ours in ("api", "pipeline", "deploy"):
        logging.getLogger(ours).setLevel(level.upper())
    if level == "debug":
        for theirs in ("aiokafka", "faust"):
            logging.getLogger(theirs).setLevel(logging.INFO)
        return
    # Both log as errors what they recover from by themselves.
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)
    logging.getLogger("faust").setLevel(logging.ERROR)
