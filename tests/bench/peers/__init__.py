"""What else people would take: each in an environment of its own under .cache/peers, made when it is asked for.

A peer's program runs in its own environment and knows nothing of ours. It gets BOOTSTRAP TOPIC COUNT and prints
{"rate": events/s, "cpu_us": CPU µs/event} as its last line. All count events by organization and minute.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Figures
from tests.bench.watching import last_json
from tests.support.kafka_broker import BrokerError, fetched
from tests.support.system import ROOT

HERE = Path(__file__).parent
SHELF = ROOT / ".cache" / "peers"
SECONDS = 600


@dataclass(frozen=True, slots=True)
class Peer:
    """``share`` of the events is enough to measure it by."""

    title: str
    packages: Sequence[str] = ()
    share: float = 1.0


PEERS = {
    "bytewax": Peer("Bytewax, tumbling count", ("bytewax==0.21.1", "confluent-kafka", "msgspec")),
    "quix": Peer("Quix Streams, tumbling count", ("quixstreams==3.28.1",), 0.3),
    "kafka_streams": Peer("Kafka Streams, windowed count by key, no JSON"),
    "flink": Peer("Flink SQL, tumbling count and sum, no sink, start included"),
}


def run_peer(name: str, bootstrap: str, topic: str, count: int, figures: Figures) -> dict[str, float] | None:
    """What a peer measures; None, with a remark that says why, where it cannot run here."""
    peer = PEERS[name]
    try:
        program = _python(name, peer) if peer.packages else _java(name)
    except (subprocess.CalledProcessError, BrokerError, FileNotFoundError) as error:
        figures.remark(f"{peer.title} was not measured: its environment could not be made: {str(error)[:200]}")
        return None
    words = [*program, bootstrap, topic, str(max(20_000, int(count * peer.share)))]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MSGMETRICS_")}
    try:
        done = subprocess.run(
            words, cwd=SHELF, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        figures.remark(f"{peer.title} was not measured: it was not done within {SECONDS} s")
        return None
    measured = last_json(done.stdout)
    if measured is None:
        figures.remark(f"{peer.title} was not measured: {(done.stderr or done.stdout)[-300:]!r}")
    return measured


def _python(name: str, peer: Peer) -> list[str]:
    """The peer's program under a Python with its packages."""
    home = SHELF / name
    interpreter, ready = home / "bin" / "python", home / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run(
            [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages],
            check=True,
        )
        ready.touch()
    return [str(interpreter), str(HERE / f"{name}_count.py")]


def _java(name: str) -> list[str]:
    """The peer's program, compiled against the jars that its pom names."""
    jars = fetched(SHELF / f"{name}-jars", HERE / name / "pom.xml")
    classes = SHELF / f"{name}-classes"
    classes.mkdir(parents=True, exist_ok=True)
    source = HERE / name / "Main.java"
    subprocess.run(["javac", "-cp", f"{jars}/*", "-d", str(classes), str(source)], check=True, capture_output=True)
    opens = ["--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"]
    return ["java", "-Xmx2g", *opens, "-cp", f"{classes}:{jars}/*", "Main"]
