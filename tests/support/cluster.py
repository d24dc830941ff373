"""A ClickHouse cluster of two shards, each a server of its own, and a ZooKeeper; and what stands in for what they lack.

They have no queue for ON CLUSTER, so a door in front of the first server runs such a statement on each, without these
words. Their replicated tables would stay read-only, so the door makes them without replication; as they are derived
they run in tests/integration/test_zookeeper.py. They have no id of their own, so each keeps its session under another
name. Small tables, which replication would bring everywhere, are on the first server alone, the only one that the
program speaks to.
"""

import http.client
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clickhouse_connect.driver.client import Client

from deploy.migrations.apply import migrate
from schemas.connection import connect
from schemas.endpoint import Endpoint
from tests.support.clickhouse_node import Node, clickhouse_node
from tests.support.kafka_broker import free_port
from tests.support.zookeeper import zookeeper

CLUSTER = "metrics"
PAIR = "pair"
"""A cluster of two shards of which the second is down: enough to see what is asked of whom."""
REMOTE = """<zookeeper><node><host>127.0.0.1</host><port>{zookeeper}</port></node>
    <sessions_path>/clickhouse/sessions/{shard}</sessions_path></zookeeper>
  <macros><shard>{shard}</shard><replica>one</replica></macros>
  <remote_servers>
    <metrics><secret>of the tests</secret>{first}{second}</metrics>
    <pair><secret>of the tests</secret>{first}{down}</pair>
  </remote_servers>"""
_SHARD = """<shard><internal_replication>true</internal_replication>
      <replica><host>127.0.0.1</host><port>{port}</port></replica></shard>"""
OWN = {"transfer-encoding", "connection", "keep-alive", "content-length"}
"""Headers of one connection, not of what it carries."""
_REPLICATED = re.compile(rb"Replicated(\w*MergeTree)\('[^']*', '[^']*'(?:, )?([^)]*)\)")
_ON_CLUSTER = re.compile(rb" ON CLUSTER \w+")


def on_one_server(statement: str) -> str:
    """The statement for a server that has no queue for the others."""
    return statement.replace(f" ON CLUSTER {CLUSTER}", "")


def without_replication(statement: bytes) -> bytes:
    """The same tables, writable where there is no other replica to talk to. Data is left as it is."""
    if b"Replicated" not in statement[:65536]:
        return statement
    return _REPLICATED.sub(lambda m: m[1] + (b"(" + m[2] + b")" if m[2] else b""), statement)


class Shards:
    """Two live servers, and a door in front of the first that knows ON CLUSTER."""

    def __init__(self, directory: Path) -> None:
        self.nodes = [Node(free_port(), free_port()) for _ in range(2)]
        self._directory, self._running = directory, [ExitStack(), ExitStack()]
        self._zookeeper = ExitStack()
        self._zookeeper_port = self._zookeeper.enter_context(zookeeper(directory))
        for shard in range(2):
            self.start(shard)
        self._door = _Door(("127.0.0.1", 0), _Handler)
        self._door.nodes, self._door.pool = self.nodes, ThreadPoolExecutor(16)
        threading.Thread(target=self._door.serve_forever, daemon=True).start()
        self.url = f"http://default@127.0.0.1:{self._door.server_address[1]}"

    def start(self, shard: int) -> None:
        """Start a server on the data that it had."""
        first, second = (_SHARD.format(port=node.native_port) for node in self.nodes)
        down, port = _SHARD.format(port=1), self._zookeeper_port
        more = REMOTE.format(shard=shard + 1, first=first, second=second, down=down, zookeeper=port)
        node = clickhouse_node(self._directory / f"shard-{shard}", self.nodes[shard], more)
        self._running[shard].enter_context(node)

    def kill(self, shard: int) -> None:
        """kill -9."""
        self._running[shard].close()

    def on(self, shard: int, database: str) -> Client:
        """A client of one server alone."""
        return connect(f"{self.nodes[shard].url}/{database}")

    def close(self) -> None:
        self._door.shutdown()
        self._door.server_close()
        for shard in range(2):
            self.kill(shard)
        self._zookeeper.close()


class _Door(ThreadingHTTPServer):
    daemon_threads, block_on_close, request_queue_size = True, False, 128
    nodes: list[Node]
    pool: ThreadPoolExecutor

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    server: _Door

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        self._pass_on(b"".join(self._parts()))

    def _parts(self) -> Iterator[bytes]:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _pass_on(self, body: bytes) -> None:
        plain, is_for_all = (body, 0) if "query=" in self.path else _ON_CLUSTER.subn(b"", body)  # that is data
        nodes = self.server.nodes if is_for_all else self.server.nodes[:1]
        answers = self.server.pool.map(lambda node: self._ask(node, without_replication(plain)), nodes)
        status, headers, answer = max(answers, key=lambda each: each[0])
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _ask(self, node: Node, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN}
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except OSError as error:
            return 502, [], str(error).encode()
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: what matters is in the answers."""


@contextmanager
def two_shards(directory: Path) -> Iterator[Shards]:
    """Both live as long as the block."""
    shards = Shards(directory)
    try:
        yield shards
    finally:
        shards.close()


def migrate_cluster(url: str) -> None:
    """Make the cluster's tables in the database of the URL."""
    migrate(connect(Endpoint(url, cluster=CLUSTER)), 35, 90, CLUSTER)
