"""ClickHouse's HTTP interface over the embedded engine, as far as clickhouse-connect uses it. Loopback only.

Queries arrive as ``query`` in the URL or as the body, parameters as ``param_NAME``; both as fields of a form where they
are too long for a URL. Every other URL parameter is a setting and is applied (an unknown one is refused by the engine).
Settings and the database belong to an engine connection for its whole life, so connections are pooled by them and
nothing has to be set back.
"""

import argparse
import os
import re
import signal
import socket
import tempfile
import threading
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from deploy.engines.gate import USER, basic, refusal
from deploy.engines.http_body import FieldTooLong, UnknownEncoding, decompress, form_fields, read_body
from deploy.engines.pool import ConnectionPool, EngineError, Settings, quote, run

TRANSPORT_PARAMETERS = frozenset(
    [
        "query",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "quota_key",
        "compress",
        "decompress",
        "wait_end_of_query",
        "client_protocol_version",
        "role",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "enable_http_compression",
        "buffer_size",
        "default_format",
        "user",
        "password",
        "stacktrace",
    ]
)
ERROR_CODE = re.compile(r"Code:\s*(\d+)")
INSERT = re.compile(rb"\s*INSERT\s+INTO\s.*?\bFORMAT\s+(\w+)[ \t;]*(\n|$)", re.IGNORECASE | re.DOTALL)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        if self._passes():
            self._answer(200, b"Ok.\n")  # of a ping: no other GET passes

    def do_POST(self) -> None:
        if self._passes():
            self._execute(read_body(self))

    def _passes(self) -> bool:
        """Whether the gate lets the request through; if not, it is answered, its body left unread."""
        found = refusal(self.command, self.path, self.headers, self.server.password)
        if found:
            self.close_connection = True
            headers = {"X-ClickHouse-Exception-Code": str(found.code), "Connection": "close"}
            self._answer(found.status, f"Code: {found.code}. DB::Exception: {found.sentence}".encode(), headers)
        return found is None

    def _execute(self, body: bytes) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            fields = form_fields(self.headers, body)
        except FieldTooLong as error:
            self._refuse(error)
            return
        if fields:
            given, body = given | fields, b""
        parameters = {name[6:]: value for name, value in given.items() if name.startswith("param_")}
        settings = tuple(
            sorted((n, v) for n, v in given.items() if n not in TRANSPORT_PARAMETERS and not n.startswith("param_"))
        )
        try:
            body = decompress(body, self.headers.get("Content-Encoding", ""))
            result = self._statement(given.get("query", ""), body, settings, parameters)
        except (EngineError, UnknownEncoding) as error:
            self._refuse(error)
        else:
            headers = {"X-ClickHouse-Format": "TabSeparated"} if result else {}
            self._answer(200, result, headers)

    def _refuse(self, error: Exception) -> None:
        """Answer with an error in ClickHouse's words."""
        code = ERROR_CODE.search(str(error))
        headers = {"X-ClickHouse-Exception-Code": code[1] if code else "1002"}
        self._answer(500, str(error).encode(errors="replace"), headers)

    def _statement(self, query: str, body: bytes, settings: Settings, parameters: Mapping[str, str]) -> bytes:
        head = query.encode() + (b"\n" if query else b"")
        whole = head + body if len(head) + len(body) < 1 << 16 else head + body[: 1 << 16]
        insert = INSERT.match(whole)
        with self.server.pool.connection(settings) as connection:
            if insert is None:
                return run(connection, (head + body).decode().rstrip().rstrip(";"), parameters)
            data = memoryview(body)[max(0, insert.end() - len(head)) :]
            statement = whole[: insert.start(1)].decode().rstrip()
            return _insert_file(connection, statement[: -len("FORMAT")], insert[1].decode(), data)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/plain; charset=UTF-8",
            "Content-Length": str(len(body)),
            "X-ClickHouse-Server-Display-Name": "chdb",
            "X-ClickHouse-Timezone": "UTC",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: errors are in the answers."""


def _insert_file(connection: Any, statement: str, format_name: str, data: memoryview) -> bytes:
    """Insert through a file, since the embedded engine reads data from nothing else; in memory where possible."""
    shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.NamedTemporaryFile(dir=shared_memory) as file:
        file.write(data)
        file.flush()
        return run(connection, f"{statement} FROM INFILE {quote(file.name)} FORMAT {format_name}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    pool: ConnectionPool
    password: str | None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report nothing when a client has gone away."""


class ChdbHttpServer:
    """The engine at ``path`` (None: in memory) on a loopback port. One engine path per process.

    ``config`` is a server's configuration file, as far as the engine heeds it: users, clusters, macros, ZooKeeper.
    Every client is the configured user ``default``, once it has given the password; '' is one as well, and
    None takes whatever is given.
    """

    def __init__(
        self,
        path: Path | None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        password: str | None,
        config: Path | None = None,
    ) -> None:
        self._server = _Server((host, port), Handler)
        self._server.pool, self._server.password = ConnectionPool(path, config), password
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="chdb-http")
        self._host, self._port = host, int(self._server.server_address[1])
        self.url = f"http://{USER}{':' + password if password else ''}@{self._host}:{self._port}/default"

    def start(self) -> "ChdbHttpServer":
        self._thread.start()
        return self

    def check(self, seconds: float) -> None:
        """Raise OSError or EngineError where it does not answer a statement within so many seconds."""
        with closing(HTTPConnection(self._host, self._port, timeout=seconds)) as asking:
            asking.request("POST", "/?query=SELECT+1", headers={"Authorization": basic(self._server.password or "")})
            answer = asking.getresponse()
            if answer.status != HTTPStatus.OK:
                raise EngineError(answer.read().decode(errors="replace"))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.pool.close()


def main() -> None:
    """Run as a process until SIGTERM; prints the URL when ready."""
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface over the embedded engine, for tests")
    parser.add_argument("--path", type=Path, required=True, help="directory of the engine's data")
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 picks a free one")
    parser.add_argument("--config", type=Path, help="configuration file of the engine")
    arguments = parser.parse_args()
    done = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: done.set())
    server = ChdbHttpServer(arguments.path, port=arguments.port, password=None, config=arguments.config).start()
    print(server.url, flush=True)
    done.wait()
    os._exit(0)


if __name__ == "__main__":
    main()
