"""Connections to ClickHouse, of every process: over HTTP, or to the embedded engine in its own process."""

import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from schemas.endpoint import Endpoint
from schemas.grain import MS_PER_SECOND
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


def first_line(error: Exception) -> str:
    """The first line of what ClickHouse or its driver says, at most 300 characters of it."""
    return str(error).split("\n", 1)[0][:300]


def connect(
    target: str | Endpoint,
    *,
    timeout_seconds: float = LONGEST_STATEMENT_SECONDS,
    connect_seconds: float = 5.0,
    settings: dict[str, Any] | None = None,
    dedicated_pool: bool = False,
) -> Client:
    """A client without a session, best used by one thread. Blocks until the server has answered once.

    Clients share their idle HTTP connections, but for those with a ``dedicated_pool``, which their `close` closes.

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
        dedicated_pool=dedicated_pool,
        settings={**(_cluster_settings(timeout_seconds) if endpoint.cluster else {}), **settings},
        **_tls(endpoint, has_password=bool(password)),
    )


def _cluster_settings(timeout_seconds: float) -> dict[str, int | str]:
    """An insert waits for its quorum as long as for anything: ten minutes by default, with one writer at a time."""
    return {**CLUSTER_SETTINGS, "insert_quorum_timeout": int(timeout_seconds * MS_PER_SECOND)}


def connect_writer(target: str | Endpoint, *, timeout_seconds: float = LONGEST_STATEMENT_SECONDS) -> Client:
    """A client whose inserts are done and kept when they are acknowledged (see WRITE_SETTINGS)."""
    return connect(target, timeout_seconds=timeout_seconds, settings=dict(WRITE_SETTINGS))


class Connections:
    """A pool of clients of one ClickHouse, of which each is used by one thread at a time and has one connection.

    After anything but a refusal of ClickHouse's that was read to its end a connection is dropped: what is left of one
    answer would begin the next. The client is kept, since a new one asks three statements. With the embedded engine
    both go, and after a refusal too: it keeps what it had written of the answer (see deploy/engines/pool.py).
    """

    def __init__(self, target: str | Endpoint, **options: Any) -> None:
        """``options`` are those of `connect`. Connects to nothing yet."""
        self._endpoint, self._options = Endpoint.of(target), options
        self._idle: deque[Client] = deque()
        weakref.finalize(self, _close_all, self._idle).atexit = False

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client for the time of the block: for one statement, its answer included."""
        try:
            client = self._idle.pop()  # used last, so the least likely to have been closed by the server
        except IndexError:
            client = connect(self._endpoint, dedicated_pool=True, **self._options)
        try:
            yield client
        except BaseException as error:
            if self._endpoint.is_embedded:
                client.close()
                raise
            if not _is_whole_refusal(error):
                client.close_connections()
            self._idle.append(client)
            raise
        self._idle.append(client)


def _is_whole_refusal(error: BaseException) -> bool:
    """Whether ClickHouse refused a statement instead of answering it, and what it said was read to its end."""
    return isinstance(error, DatabaseError) and not isinstance(error, StreamFailureError) and error.code is not None


def _close_all(clients: deque[Client]) -> None:
    for client in clients:
        client.close()


def _tls(endpoint: Endpoint, *, has_password: bool) -> dict[str, Any]:
    """The driver's arguments for certificates; a client certificate replaces the password only where there is none."""
    told: dict[str, Any] = {}
    if endpoint.cafile:
        told["ca_cert"] = endpoint.cafile
    if endpoint.certfile:
        told |= {"client_cert": endpoint.certfile, "client_cert_key": endpoint.keyfile}
        told["tls_mode"] = "strict" if has_password else "mutual"
    return told
