"""The health check of Kafka's container: healthy is a broker that answers a client, and nothing else on its port.

tests/integration/test_compose_engines.py asks a real broker the same.
"""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.compose import services
from tests.support.engine import ROOT
from tests.support.kafka_broker import free_port

SCRIPT = ROOT / "deploy" / "kafka" / "healthy.sh"
OURS, ANOTHERS = b"\0\0\0\7", b"\0\0\0\1"
"""Numbers of requests, which an answer repeats."""


def healthy(port: int) -> bool:
    """Whether the check calls the broker on this port healthy."""
    return subprocess.run(["bash", SCRIPT, str(port), "0.5"], capture_output=True, check=False).returncode == 0


@contextmanager
def listener(answer: bytes | None) -> Iterator[int]:
    """The port of somebody who answers one connection, says nothing to it (None) or closes it (no bytes)."""
    with socket.create_server(("127.0.0.1", free_port())) as server:
        done = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                if answer is None:
                    done.wait(10)
                else:
                    connection.recv(100)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        done.set()
        thread.join()


ANSWERS = {
    "one broker": (b"\0\0\1\0" + OURS + b"\0\0\0\1" + b"\0" * 40, True),
    "256 brokers": (b"\0\0\1\0" + OURS + b"\0\0\1\0" + b"\0" * 40, True),
    "no broker": (b"\0\0\1\0" + OURS + b"\0\0\0\0" + b"\0" * 40, False),
    "an answer to somebody else": (b"\0\0\1\0" + ANOTHERS + b"\0\0\0\1" + b"\0" * 40, False),
    "half an answer": (b"\0\0\1\0" + OURS, False),
    "a web server": (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
    "closed": (b"", False),
    "silence": (None, False),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_only_an_answer_that_names_a_broker_is_healthy(answer: bytes | None, expected: bool) -> None:
    with listener(answer) as port:
        assert healthy(port) is expected


def test_nobody_there_is_not_healthy() -> None:
    assert not healthy(free_port())


def test_compose_asks_the_port_that_clients_use_and_starts_no_jvm() -> None:
    kafka = services()["kafka"]
    mounts = {mount["target"]: Path(mount["source"]) for mount in kafka["volumes"]}
    program, script, port = kafka["healthcheck"]["test"][1:]
    assert (program, mounts[script]) == ("bash", SCRIPT)
    assert f":{port}," in kafka["environment"]["KAFKA_LISTENERS"]
