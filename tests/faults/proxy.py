"""An HTTP proxy between workers and ClickHouse that fails on command: the statement refused, or its answer lost."""

import http.client
import threading
from collections import Counter
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_plus

from deploy.engines.http_body import read_body

UPSTREAM_SECONDS = 60
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}
NOT_NOW = b"500: a gateway that has a bad day"
LATE = "param_late=1"
"""The parameter by which a statement recomputes late buckets."""


class Trick(StrEnum):
    """What the proxy does to a chosen insert."""

    REFUSE = "answer 500 without asking ClickHouse"
    CUT = "let ClickHouse do it, then close the connection before the answer"


def _is_insert(path: str, body: bytes) -> bool:
    """Whether a request inserts: rows, by a statement in its path, or what a statement in its body selects."""
    return "INSERT INTO" in unquote_plus(path) or body.startswith(b"INSERT INTO") or b"\nINSERT INTO" in body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        self._pass_on(read_body(self))

    def _pass_on(self, body: bytes) -> None:
        trick = self.server.proxy.trick_for(self.path) if _is_insert(self.path, body) else None
        if trick is Trick.REFUSE:
            self._answer(500, {}, NOT_NOW)
            return
        try:
            status, headers, answer = self._ask(body)
        except OSError:
            self.close_connection = True  # ClickHouse is away, and so are we
            return
        if trick is Trick.CUT:
            self.close_connection = True
            return
        self._answer(status, headers, answer)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream_port, timeout=UPSTREAM_SECONDS)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            kept = {k: v for k, v in response.getheaders() if k.lower() not in HOP_BY_HOP}
            return response.status, kept, response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: ``FaultyProxy.played`` counts what was done."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    proxy: "FaultyProxy"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to report."""


class FaultyProxy:
    """Passes everything on to ClickHouse's port, but for the inserts that a test has chosen."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.played: Counter[Trick] = Counter()
        self._trick, self._left, self._skip = Trick.REFUSE, 0, 0
        self._refuses_late = False
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/default"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="faulty-proxy")
        self._thread.start()

    def play(self, trick: Trick, nth: int = 1, times: int = 1) -> None:
        """Do this to ``times`` inserts from the ``nth`` on, counted from now."""
        with self._lock:
            self._trick, self._skip, self._left = trick, nth - 1, times

    def refuse_late(self) -> None:
        """Refuse every recompute of late buckets from now on, and nothing else."""
        with self._lock:
            self._refuses_late = True

    def calm(self) -> None:
        """Pass everything on again."""
        with self._lock:
            self._left, self._refuses_late = 0, False

    def trick_for(self, path: str) -> Trick | None:
        """What to do to the insert that has just arrived, at a path."""
        with self._lock:
            if self._refuses_late and LATE in path:
                self.played[Trick.REFUSE] += 1
                return Trick.REFUSE
            if not self._left:
                return None
            if self._skip:
                self._skip -= 1
                return None
            self._left -= 1
            self.played[self._trick] += 1
            return self._trick

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
