"""A ClickHouse server on loopback: the embedded engine started as a program of its own, which can listen.

Unlike deploy/engines/chdb_http.py this is the engine's own HTTP and native protocol, users and passwords included, so
servers can ask each other. Two things it does not do: it runs no distributed DDL queue, and without a port for other
replicas its replicated tables stay read-only.

It reads ``config.xml`` of the directory it runs in, and its own session needs a user ``default`` without a password.
"""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.system import ROOT, wait_until

CONFIG = """<clickhouse>
  <logger><level>none</level></logger>
  <users_config>{directory}/users.xml</users_config>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{node.native_port}</tcp_port>
  <http_port>{node.http_port}</http_port>
  {more}
</clickhouse>
"""
USERS = """<clickhouse>
<profiles><default><fsync_metadata>0</fsync_metadata></default></profiles><quotas><default/></quotas><users><default>
  <password/><networks><ip>127.0.0.1</ip></networks>
  <profile>default</profile><quota>default</quota><access_management>1</access_management>
</default></users></clickhouse>
"""


@dataclass(frozen=True)
class Node:
    """Where a server listens."""

    native_port: int
    http_port: int

    @property
    def url(self) -> str:
        """Without a database."""
        return f"http://default@127.0.0.1:{self.http_port}"


@contextmanager
def clickhouse_node(
    directory: Path, node: Node, more: str = "", environment: Mapping[str, str] | None = None, users: str = USERS
) -> Iterator[None]:
    """A server over the data in ``directory``, which may be there from before; ``more`` goes into its configuration."""
    directory.mkdir(exist_ok=True)
    (directory / "users.xml").write_text(users)
    (directory / "config.xml").write_text(CONFIG.format(directory=directory, node=node, more=more))
    words = [sys.executable, "-m", "tests.support.listening_engine", str(directory)]
    with (directory / "output").open("ab") as output:
        process = subprocess.Popen(
            words, stdout=output, stderr=output, cwd=ROOT, env={**os.environ, **(environment or {})}
        )
    try:
        wait_until(f"the server in {directory}", lambda: process.poll() is not None or _answers(node), 30)
        assert process.poll() is None, (directory / "output").read_text()[-2000:]
        yield
    finally:
        process.kill()
        process.wait(10)


def _answers(node: Node) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/ping", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
