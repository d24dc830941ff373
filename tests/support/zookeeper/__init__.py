"""A real Apache ZooKeeper on loopback, for tests of replicated tables."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.engine import ROOT
from tests.support.kafka_broker import fetched, free_port
from tests.support.system import wait_until

CONFIG = """tickTime=1000
dataDir={data}
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
forceSync=no
"""
JVM = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
MAIN = "org.apache.zookeeper.server.ZooKeeperServerMain"


def zookeeper_jars() -> Path:
    return fetched(ROOT / ".cache" / "zookeeper-jars", Path(__file__).with_name("pom.xml"))


@contextlib.contextmanager
def zookeeper(directory: Path) -> Iterator[int]:
    """The port of a ZooKeeper that lives as long as the block."""
    port = free_port()
    config, log = directory / "zoo.cfg", directory / "zookeeper.log"
    config.write_text(CONFIG.format(data=directory / "zookeeper", port=port))
    with log.open("wb") as output:
        words = ["java", *JVM, "-cp", f"{zookeeper_jars()}/*", MAIN, str(config)]
        process = subprocess.Popen(words, stdout=output, stderr=output)
        try:
            wait_until("ZooKeeper", lambda: b"Zookeeper version" in answer_of(port) or process.poll() is not None, 30)
            assert process.poll() is None, log.read_text()[-2000:]
            yield port
        finally:
            process.kill()
            process.wait(10)


def answer_of(port: int) -> bytes:
    """What a ZooKeeper says of itself; nothing where it is not up."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(b"srvr")
        return b"".join(iter(lambda: connection.recv(4096), b""))
    return b""
