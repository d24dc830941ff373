"""Settings: one table of name, default, unit and help, and the only reader of the environment.

Every setting is an environment variable ``MSGMETRICS_<NAME>``; a secret may instead be given as the path of a file in
``MSGMETRICS_<NAME>_FILE``. All mistakes are reported together, each with the variable's name and what is allowed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PREFIX = "MSGMETRICS_"


class SettingsError(Exception):
    """One or more settings are unusable; ``problems`` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Setting:
    """One row of the table. ``parse`` raises ValueError with what is allowed."""

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str
    secret: bool = False

    @property
    def variable(self) -> str:
        return PREFIX + self.name


def _text(raw: str) -> str:
    if not raw:
        raise ValueError("must not be empty")
    return raw


def _optional(raw: str) -> str:
    return raw


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not (raw.isascii() and raw.isdigit() and len(raw) < 12 and low <= int(raw) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(raw)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        try:
            value = float(raw) if raw.isascii() and "_" not in raw else -1.0
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return value

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw not in choices:
            raise ValueError("must be one of " + ", ".join(c or "(empty)" for c in choices))
        return raw

    return parse


def _clickhouse_url(raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme in ("http", "https") and parts.hostname:
        return raw
    if parts.scheme == "chdb" and not parts.netloc and parts.path.startswith("/"):
        return raw
    raise ValueError("must be http(s)://user:password@host:port/database or chdb:///absolute/path")


def _origins(raw: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in raw.split(",") if part.strip())
    if any(urlsplit(o).scheme not in ("http", "https") or not urlsplit(o).hostname for o in origins):
        raise ValueError("must be origins like https://app.example.com, separated by commas")
    return origins


@dataclass(frozen=True)
class Settings:
    """All settings, parsed. Field names are the lower-case setting names."""

    kafka_bootstrap: str
    kafka_topic: str
    kafka_group: str
    kafka_cluster_id: str
    kafka_security_protocol: str
    kafka_sasl_mechanism: str
    kafka_sasl_username: str
    kafka_sasl_password: str
    kafka_ssl_cafile: str
    kafka_ssl_certfile: str
    kafka_ssl_keyfile: str
    kafka_session_timeout_seconds: float
    kafka_heartbeat_seconds: float
    clickhouse_url: str
    clickhouse_insert_timeout_seconds: float
    lateness_seconds: float
    facts_retention_days: int
    dead_letter_retention_days: int
    future_skew_seconds: float
    flush_events: int
    flush_bytes: int
    flush_seconds: float
    buffer_bytes: int
    api_host: str
    api_port: int
    api_cors_origins: tuple[str, ...]
    admin_host: str
    admin_port: int
    log_format: str
    log_level: str


SETTINGS: tuple[Setting, ...] = (
    Setting("KAFKA_BOOTSTRAP", "localhost:9092", _text, "Kafka brokers to start from, host:port separated by commas"),
    Setting("KAFKA_TOPIC", "message-events", _text, "topic the events are read from"),
    Setting("KAFKA_GROUP", "message-metrics", _text, "consumer group of the workers"),
    Setting("KAFKA_CLUSTER_ID", "", _optional, "name progress is stored under; empty: the id the brokers report"),
    Setting(
        "KAFKA_SECURITY_PROTOCOL",
        "PLAINTEXT",
        _one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "how to connect to Kafka",
    ),
    Setting(
        "KAFKA_SASL_MECHANISM",
        "SCRAM-SHA-512",
        _one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        "SASL mechanism, where the protocol has SASL",
    ),
    Setting("KAFKA_SASL_USERNAME", "", _optional, "SASL user"),
    Setting("KAFKA_SASL_PASSWORD", "", _optional, "SASL password", secret=True),
    Setting("KAFKA_SSL_CAFILE", "", _optional, "file of the authorities to trust; empty: the system's"),
    Setting("KAFKA_SSL_CERTFILE", "", _optional, "client certificate file"),
    Setting("KAFKA_SSL_KEYFILE", "", _optional, "client key file"),
    Setting("KAFKA_SESSION_TIMEOUT_SECONDS", "10", _seconds(1, 300), "a silent worker loses its partitions after this"),
    Setting(
        "KAFKA_HEARTBEAT_SECONDS", "3", _seconds(0.1, 100), "seconds between heartbeats; below a third of the above"
    ),
    Setting(
        "CLICKHOUSE_URL",
        "http://localhost:8123/default",
        _clickhouse_url,
        "http(s)://user:password@host:port/database, or chdb:///absolute/path for the embedded engine",
        secret=True,
    ),
    Setting("CLICKHOUSE_INSERT_TIMEOUT_SECONDS", "20", _seconds(1, 120), "time limit of one write to ClickHouse"),
    Setting("LATENESS_SECONDS", "10", _seconds(0, 3600), "how long a bucket stays open for events that are under way"),
    Setting("FACTS_RETENTION_DAYS", "35", _whole(1, 3650), "days facts are kept; later corrections are dead letters"),
    Setting("DEAD_LETTER_RETENTION_DAYS", "90", _whole(1, 3650), "days dead letters are kept"),
    Setting("FUTURE_SKEW_SECONDS", "300", _seconds(0, 3600), "how far an event may be ahead of its record"),
    Setting("FLUSH_EVENTS", "50000", _whole(1, 1_000_000), "events that make a flush due"),
    Setting("FLUSH_BYTES", "33554432", _whole(1, 1 << 30), "bytes of events that make a flush due"),
    Setting("FLUSH_SECONDS", "1", _seconds(0.01, 60), "age of the oldest event that makes a flush due"),
    Setting(
        "BUFFER_BYTES", "50331648", _whole(1 << 20, 1 << 32), "bytes of events held in memory before fetching stops"
    ),
    Setting("API_HOST", "127.0.0.1", _text, "address the API listens on"),
    Setting("API_PORT", "8000", _whole(0, 65535), "port the API listens on; 0 picks a free one"),
    Setting("API_CORS_ORIGINS", "", _origins, "origins allowed to call the API from a browser; empty: none"),
    Setting("ADMIN_HOST", "127.0.0.1", _text, "address health and metrics listen on"),
    Setting(
        "ADMIN_PORT", "0", _whole(0, 65535), "port of health and metrics; 0: 9464 for the worker, 9465 for the API"
    ),
    Setting("LOG_FORMAT", "json", _one_of("json", "text"), "log lines as JSON or as text"),
    Setting("LOG_LEVEL", "info", _one_of("debug", "info", "warning", "error"), "lowest level that is logged"),
)

WORKER_ADMIN_PORT = 9464
API_ADMIN_PORT = 9465


def _raw(setting: Setting, environ: Mapping[str, str]) -> str:
    file_variable = setting.variable + "_FILE"
    if setting.secret and file_variable in environ:
        if setting.variable in environ:
            raise ValueError(f"is set both directly and as {file_variable}; keep one of them")
        try:
            return Path(environ[file_variable]).read_text().strip()
        except OSError as error:
            raise ValueError(f"cannot be read from the file in {file_variable}: {error.strerror}") from error
    return environ.get(setting.variable, setting.default)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Parse all settings. Raises SettingsError with one sentence per mistake; never quotes a secret's value."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in SETTINGS:
        try:
            raw = _raw(setting, environ)
            values[setting.name.lower()] = setting.parse(raw)
        except ValueError as error:
            found = "" if setting.secret or setting.variable not in environ else f", not {environ[setting.variable]!r}"
            problems.append(f"{setting.variable} {error}{found}")
    problems += _unknown(environ) + _contradictions(values)
    if problems:
        raise SettingsError(problems)
    return Settings(**values)


def _unknown(environ: Mapping[str, str]) -> list[str]:
    """A misspelt name would silently leave the default in force."""
    known = {s.variable for s in SETTINGS} | {s.variable + "_FILE" for s in SETTINGS if s.secret}
    extra = sorted(k for k in environ if k.startswith(PREFIX) and not k.startswith(PREFIX + "TEST_") and k not in known)
    return [f"{name} is not a setting; see the settings table in the README" for name in extra]


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    heartbeat, session = values.get("kafka_heartbeat_seconds"), values.get("kafka_session_timeout_seconds")
    if heartbeat is not None and session is not None and heartbeat * 3 > session:
        return [f"{PREFIX}KAFKA_HEARTBEAT_SECONDS must be at most a third of {PREFIX}KAFKA_SESSION_TIMEOUT_SECONDS"]
    return []


assert {s.name.lower() for s in SETTINGS} == {f.name for f in fields(Settings)}
