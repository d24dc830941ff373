"""A schema registry on loopback that answers by a script."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.background import Background

TYPES = "/schemas/types"


@dataclass(frozen=True)
class Scripted:
    """An answer. JSON but for bytes; ``promises`` more bytes than it sends, or sends one each ``drips`` seconds."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    promises: int = 0
    drips: float = 0.0
    gate: threading.Event | None = None
    """Nothing is answered before it is set."""


UNKNOWN = Scripted({"error_code": 40403, "message": "Schema not found"}, 404)
HANGS_UP = Scripted(status=0)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes is part of many tests."""


class FakeRegistry(Background):
    """Serves ``answers`` by path, without its query unless that is scripted too; others are 404, as of a registry.

    ``asked`` has the path of every request, ``headers`` the headers; ``came`` is set by each.
    """

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {TYPES: ["JSON", "PROTOBUF", "AVRO"], **(answers or {})}
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.came = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.asked.append(self.path)
                fake.headers.append(dict(self.headers))
                fake.came.set()
                fake._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self._stop.wait()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, to: BaseHTTPRequestHandler) -> None:
        found = self.answers.get(to.path, self.answers.get(to.path.partition("?")[0], UNKNOWN))
        answer = found if isinstance(found, Scripted) else Scripted(found)
        if answer.gate:
            answer.gate.wait(10)
        if not answer.status:
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        content = {"Content-Type": "application/vnd.schemaregistry.v1+json", **answer.headers}
        to.send_response(answer.status)
        for name, value in {**content, "Content-Length": str(answer.promises or len(body))}.items():
            to.send_header(name, value)
        try:
            to.end_headers()
            for at in range(0, len(body), 1 if answer.drips else len(body)):
                to.wfile.write(body[at : at + 1] if answer.drips else body)
                if answer.drips and self._stop.wait(answer.drips):
                    return
        except OSError:
            to.close_connection = True  # the client has gone
