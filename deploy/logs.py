"""Log lines of every process: JSON objects or text, to stderr or a file."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import msgspec


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure_logs(log_format: str, level: str, file: Path | None = None) -> None:
    """Set up logging for this process. Third-party libraries are heard from warnings on."""
    handler = logging.FileHandler(file) if file else logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for ours in ("api", "pipeline", "deploy"):
        logging.getLogger(ours).setLevel(level.upper())
    # Both report as errors what they recover from by themselves.
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)
    logging.getLogger("faust").setLevel(logging.ERROR)
