"""Settings: one table of name, default, unit and help, and the only parser of the environment.

Every setting is an environment variable ``MSGMETRICS_<NAME>``; a secret may instead be given as the path of a file in
``MSGMETRICS_<NAME>_FILE``. All mistakes are reported together, each with the variable's name and what is allowed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from schemas import setting_values as value
from schemas.endpoint import Endpoint
from schemas.limits import FACTS_RETENTION_DAYS, LATE_PAUSE_SECONDS, LONGEST_STATEMENT_SECONDS
from schemas.registry_access import Access
from schemas.token_file import read_token

PREFIX = "MSGMETRICS_"
Parsed = TypeVar("Parsed")


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


def setting(default: str, parse: Callable[[str], Parsed], help: str, *, secret: bool = False) -> Parsed:
    """A row of the table as a field of Settings; ``default`` is written as it would stand in the variable."""
    row: Parsed = field(metadata={"default": default, "parse": parse, "help": help, "secret": secret})
    return row


@dataclass(frozen=True, repr=False)
class Settings:
    """All settings, parsed. A field's name is the setting's in lower case. Prints itself without the secrets."""

    kafka_bootstrap: str = setting(
        "localhost:9092", value.text, "Kafka brokers to start from, host:port separated by commas"
    )
    kafka_topic: tuple[str, ...] = setting(
        "message-events", value.topics, "topics the events are read from, separated by commas"
    )
    kafka_group: str = setting("message-metrics", value.text, "consumer group of the workers")
    kafka_cluster_id: str = setting("", str, "name progress is stored under; empty: the id the brokers report")
    kafka_security_protocol: str = setting(
        "PLAINTEXT", value.one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"), "how to connect to Kafka"
    )
    kafka_sasl_mechanism: str = setting(
        "SCRAM-SHA-512",
        value.one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
        "SASL mechanism, where the protocol has SASL",
    )
    kafka_sasl_username: str = setting("", str, "SASL user")
    kafka_sasl_password: str = setting("", str, "SASL password", secret=True)
    kafka_oauth_token_file: str = setting(
        "", value.file, "file of the token for OAUTHBEARER, read again for every new connection"
    )
    kafka_ssl_cafile: str = setting("", value.file, "file of the authorities to trust; empty: the system's")
    kafka_ssl_certfile: str = setting("", value.file, "client certificate file")
    kafka_ssl_keyfile: str = setting("", value.file, "client key file")
    kafka_session_timeout_seconds: float = setting(
        "10", value.seconds(1, 300), "a silent worker loses its partitions after this"
    )
    kafka_heartbeat_seconds: float = setting(
        "3", value.seconds(0.1, 100), "seconds between heartbeats; below a third of the above"
    )
    clickhouse_url: str = setting(
        "http://localhost:8123/default",
        value.clickhouse_url,
        "http(s)://user:password@host:port/database, or chdb:///absolute/path for the embedded engine",
        secret=True,
    )
    clickhouse_password: str = setting("", str, "password, where the URL has none", secret=True)
    clickhouse_ssl_cafile: str = setting(
        "", value.file, "file of the authorities to trust with https; empty: the system's"
    )
    clickhouse_ssl_certfile: str = setting(
        "", value.file, "client certificate file; the credential where there is no password"
    )
    clickhouse_ssl_keyfile: str = setting("", value.file, "client key file")
    clickhouse_cluster: str = setting("", value.cluster, "cluster the tables are spread over; empty: one server")
    clickhouse_insert_timeout_seconds: float = setting(
        "20",
        value.seconds(1, LONGEST_STATEMENT_SECONDS),
        f"time limit of one write to ClickHouse, at most {LONGEST_STATEMENT_SECONDS}",
    )
    schema_registry_url: str = setting(
        "", str, "schema registry to read Avro, Protobuf and JSON Schema with, http(s)://host:port/path; empty: none"
    )
    schema_registry_user: str = setting("", str, "user of the schema registry", secret=True)
    schema_registry_password: str = setting("", str, "password of that user", secret=True)
    schema_registry_token_file: str = setting(
        "", value.file, "file of a bearer token for the schema registry, read again for every schema"
    )
    schema_registry_cafile: str = setting(
        "", value.file, "file of the authorities to trust with https; empty: the system's"
    )
    lateness_seconds: float = setting(
        "10", value.seconds(0, 3600), "how long a bucket stays open for events that are under way"
    )
    late_pause_seconds: float = setting(
        f"{LATE_PAUSE_SECONDS:g}",
        value.seconds(5, 600),
        "longest pause between two recomputes of a bucket that late events keep coming for",
    )
    facts_retention_days: int = setting(
        str(FACTS_RETENTION_DAYS), value.whole(1, 3650), "days facts are kept; later corrections are dead letters"
    )
    dead_letter_retention_days: int = setting("90", value.whole(1, 3650), "days dead letters are kept")
    future_skew_seconds: float = setting("300", value.seconds(0, 3600), "how far an event may be ahead of its record")
    flush_events: int = setting("50000", value.whole(1, 1_000_000), "events that make a flush due")
    flush_bytes: int = setting("33554432", value.whole(1, 1 << 30), "bytes of events that make a flush due")
    flush_seconds: float = setting("1", value.seconds(0.01, 60), "age of the oldest event that makes a flush due")
    buffer_bytes: int = setting(
        "50331648", value.whole(1 << 20, 1 << 32), "bytes of events held in memory before fetching stops"
    )
    api_host: str = setting("127.0.0.1", value.text, "address the API listens on")
    api_port: int = setting("8000", value.whole(0, 65535), "port the API listens on; 0 picks a free one")
    api_cors_origins: tuple[str, ...] = setting(
        "", value.origins, "origins allowed to call the API from a browser; empty: none"
    )
    admin_host: str = setting("127.0.0.1", value.text, "address health and metrics listen on")
    admin_port: int = setting(
        "0", value.whole(0, 65535), "port of health and metrics; 0: 9464 for the worker, 9465 for the API"
    )
    log_format: str = setting("json", value.one_of("json", "text"), "log lines as JSON or as text")
    log_level: str = setting("info", value.one_of("debug", "info", "warning", "error"), "lowest level that is logged")

    def __repr__(self) -> str:
        shown = (f"{s.name.lower()}={'…' if s.secret else repr(getattr(self, s.name.lower()))}" for s in SETTINGS)
        return f"Settings({', '.join(shown)})"

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that the events are read from: at least one."""
        return self.kafka_topic

    @property
    def schema_registry(self) -> Access | None:
        """The schema registry, if there is one, with the token that is in its file now. Raises TokenError."""
        if not self.schema_registry_url:
            return None
        return Access(
            url=self.schema_registry_url,
            user=self.schema_registry_user,
            password=self.schema_registry_password,
            token=read_token(self.schema_registry_token_file) if self.schema_registry_token_file else "",
            cafile=self.schema_registry_cafile,
        )

    @property
    def clickhouse(self) -> Endpoint:
        """The endpoint of ClickHouse that the settings name."""
        return Endpoint(
            url=self.clickhouse_url,
            password=self.clickhouse_password,
            cafile=self.clickhouse_ssl_cafile,
            certfile=self.clickhouse_ssl_certfile,
            keyfile=self.clickhouse_ssl_keyfile,
            cluster=self.clickhouse_cluster,
        )


SETTINGS = tuple(Setting(f.name.upper(), **f.metadata) for f in fields(Settings))
"""The table, a row for each field of Settings."""

WORKER_ADMIN_PORT = 9464
API_ADMIN_PORT = 9465


def _raw(row: Setting, environ: Mapping[str, str]) -> str:
    file_variable = row.variable + "_FILE"
    if row.secret and file_variable in environ:
        if row.variable in environ:
            raise ValueError(f"is set both directly and as {file_variable}; keep one of them")
        try:
            return Path(environ[file_variable]).read_text("utf-8", "surrogateescape").strip()
        except OSError as error:
            raise ValueError(f"cannot be read from the file in {file_variable}: {error.strerror}") from error
    return environ.get(row.variable, row.default)


def _utf8(raw: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in raw):  # bytes that are none; an encoder would quote them
        raise ValueError("must be UTF-8")
    return raw


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Parse all settings. Raises SettingsError with one sentence per mistake; never quotes a secret's value."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for row in SETTINGS:
        try:
            values[row.name.lower()] = row.parse(_utf8(_raw(row, environ)))
        except ValueError as error:
            found = "" if row.secret or row.variable not in environ else f", not {environ[row.variable]!r}"
            problems.append(f"{row.variable} {error}{found}")
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
    broken = [sentence for holds, sentence in _rules(lambda name: values.get(name) or "") if not holds]
    return broken + _registry_problems({name: values.get(f"schema_registry_{name}", "") for name in _OF_REGISTRY})


_OF_REGISTRY = ("url", "user", "password", "token_file", "cafile")


def _registry_problems(values: Mapping[str, str]) -> list[str]:
    """The sentence on a schema registry that cannot be asked so; the token itself is looked at when it is needed."""
    if not values["url"]:
        return []
    try:
        Access(
            **{name: text for name, text in values.items() if name != "token_file"}, token=values["token_file"] and "t"
        )
    except ValueError as problem:
        return [str(problem)]
    return []


def _rules(of: Callable[[str], Any]) -> list[tuple[bool, str]]:
    """Conditions between settings, each with the sentence of its refusal; ``of`` gives '' for what is unset."""
    heartbeat, session = of("kafka_heartbeat_seconds") or 0, of("kafka_session_timeout_seconds") or float("inf")
    kafka, is_sasl = PREFIX + "KAFKA", of("kafka_security_protocol").startswith("SASL")
    mechanism, is_oauth = of("kafka_sasl_mechanism"), of("kafka_sasl_mechanism") == "OAUTHBEARER"
    has_user = bool(of("kafka_sasl_username") and of("kafka_sasl_password"))
    ours, scheme = PREFIX + "CLICKHOUSE", urlsplit(of("clickhouse_url")).scheme
    has_tls_files = any(of(f"clickhouse_ssl_{name}") for name in ("cafile", "certfile", "keyfile"))
    return [
        (
            heartbeat * 3 <= session,
            f"{kafka}_HEARTBEAT_SECONDS must be at most a third of {kafka}_SESSION_TIMEOUT_SECONDS",
        ),
        (
            not is_sasl or is_oauth or has_user,
            f"{kafka}_SASL_USERNAME and {kafka}_SASL_PASSWORD are both needed for {mechanism}",
        ),
        (
            not (is_sasl and is_oauth) or bool(of("kafka_oauth_token_file")),
            f"{kafka}_OAUTH_TOKEN_FILE is needed for OAUTHBEARER",
        ),
        *(
            (
                bool(of(f"{peer}_ssl_certfile")) == bool(of(f"{peer}_ssl_keyfile")),
                f"{variables}_SSL_CERTFILE and {variables}_SSL_KEYFILE belong together; set both or neither",
            )
            for peer, variables in (("kafka", kafka), ("clickhouse", ours))
        ),
        (
            scheme in ("https", "") or not has_tls_files,
            f"{ours}_SSL_CAFILE, _CERTFILE and _KEYFILE are for https; {ours}_URL begins with {scheme}://",
        ),
        (
            scheme != "chdb" or not of("clickhouse_cluster"),
            f"{ours}_CLUSTER needs ClickHouse servers; {ours}_URL names the embedded engine",
        ),
    ]
