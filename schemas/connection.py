"""Connections to ClickHouse, of every process: over HTTP, or to the embedded engine in its own process."""

from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from schemas.endpoint import Endpoint
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.tables import CLUSTER_SETTINGS, READ_SETTINGS, WRITE_SETTINGS

EMBEDDED_DATABASE = "default"


def redact(url: str) -> str:
    """The URL without user and password, fit for logs and errors."""
    if Endpoint.of(url).is_embedded:
        return url
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def connect(
    target: str | Endpoint,
    *,
    timeout_seconds: float = LONGEST_STATEMENT_SECONDS,
    connect_seconds: float = 5.0,
    settings: dict[str, Any] | None = None,
) -> Client:
    """A client without a session, best used by one thread. Blocks until the server has answered once.

    The time limit of a statement counts on both sides, on the server's in whole seconds: one whose client has gone
    would otherwise run on. ``settings`` go with every statement, before that limit, what makes reads firm and what
    a cluster needs.
    """
    endpoint = Endpoint.of(target)
    settings = {**READ_SETTINGS, "max_execution_time": int(timeout_seconds), **(settings or {})}
    if endpoint.is_embedded:
        return clickhouse_connect.get_client(dsn=endpoint.url, settings=settings)
    parts = urlsplit(endpoint.url)
    password = unquote(parts.password or "") or endpoint.password
    return clickhouse_connect.get_client(
        interface=parts.scheme,
        host=parts.hostname,
        port=parts.port or (8443 if parts.scheme == "https" else 8123),
        username=unquote(parts.username) if parts.username else "default",
        password=password,
        database=parts.path.strip("/") or "default",
        autogenerate_session_id=False,
        connect_timeout=connect_seconds,
        send_receive_timeout=timeout_seconds,
        query_retries=0,
        compress=False,
        settings={**(CLUSTER_SETTINGS if endpoint.cluster else {}), **settings},
        **_tls(endpoint, has_password=bool(password)),
    )


def connect_writer(target: str | Endpoint, *, timeout_seconds: float = LONGEST_STATEMENT_SECONDS) -> Client:
    """A client whose inserts are done and kept when they are acknowledged (see WRITE_SETTINGS)."""
    return connect(target, timeout_seconds=timeout_seconds, settings=dict(WRITE_SETTINGS))


def _tls(endpoint: Endpoint, *, has_password: bool) -> dict[str, Any]:
    """The driver's arguments for certificates; a client certificate replaces the password only where there is none."""
    told: dict[str, Any] = {}
    if endpoint.cafile:
        told["ca_cert"] = endpoint.cafile
    if endpoint.certfile:
        told |= {"client_cert": endpoint.certfile, "client_cert_key": endpoint.keyfile}
        told["tls_mode"] = "strict" if has_password else "mutual"
    return told
