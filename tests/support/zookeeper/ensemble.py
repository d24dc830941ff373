"""Three real ZooKeepers on loopback, of which one can be kept from hearing of the others' writes."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.support.kafka_broker import free_port
from tests.support.pump import pump
from tests.support.system import wait_until
from tests.support.zookeeper import CONFIG, JVM, answer_of, zookeeper_jars

LIMITS = "initLimit=40\nsyncLimit=20\n"
"""A member that hears nothing is part of the ensemble for 20 s, and answers reads from what it knows."""
MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
MEMBERS = range(3)


class Ensemble:
    """Where the members listen for clients. The last one reaches the others by wires."""

    def __init__(self, directory: Path) -> None:
        self.ports = [free_port() for _ in MEMBERS]
        self._directory = directory
        self._peers, self._elections = ([free_port() for _ in MEMBERS] for _ in range(2))
        self._wires = [_Wire(port) for port in self._peers[:-1]]
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the last member when the others have a leader, so that it is none."""
        *first, last = MEMBERS
        for member in first:
            self._start(member, self._peers)
        for member in first:
            wait_until("a leader", partial(self._has_joined, member), 60)
        self._start(last, [*(wire.port for wire in self._wires), self._peers[last]])
        wait_until("the last member", partial(self._has_joined, last), 60)

    def cut(self) -> None:
        """From now on the last member hears nothing from the others."""
        for wire in self._wires:
            wire.is_open.clear()

    def heal(self) -> None:
        for wire in self._wires:
            wire.is_open.set()

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait(10)

    def _start(self, member: int, peers: list[int]) -> None:
        data, config = self._directory / f"zookeeper-{member}", self._directory / f"zookeeper-{member}.cfg"
        data.mkdir()
        (data / "myid").write_text(str(member + 1))
        servers = [
            f"server.{n + 1}=127.0.0.1:{peer}:{vote}\n"
            for n, (peer, vote) in enumerate(zip(peers, self._elections, strict=True))
        ]
        config.write_text(CONFIG.format(data=data, port=self.ports[member]) + LIMITS + "".join(servers))
        words = ["java", *JVM, "-cp", f"{zookeeper_jars()}/*", MAIN, str(config)]
        with (self._directory / f"zookeeper-{member}.log").open("wb") as output:
            self._processes.append(subprocess.Popen(words, stdout=output, stderr=output))

    def _has_joined(self, member: int) -> bool:
        return b"Mode: " in answer_of(self.ports[member])


class _Wire:
    """A port that leads to another one, as long as it is open."""

    def __init__(self, to: int) -> None:
        self._to, self.is_open = to, threading.Event()
        self.is_open.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                continue
            for source, target in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with source, target:
            pump(source, target, self.is_open.wait)


@contextlib.contextmanager
def ensemble(directory: Path) -> Iterator[Ensemble]:
    """All live as long as the block."""
    members = Ensemble(directory)
    try:
        members.start()
        yield members
    finally:
        members.close()
