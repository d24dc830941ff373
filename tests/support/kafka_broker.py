"""A real Apache Kafka broker from Maven's jars, for tests: started, stopped, killed and restarted on the same data."""

import argparse
import base64
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from deploy.engines.ports import FreePorts
from tests.support.class_archive import class_archive
from tests.support.java_process import STOP_SECONDS, JavaProcess

JARS_VARIABLE = "MSGMETRICS_TEST_KAFKA_JARS"
START_SECONDS = 60
DUMP_SECONDS = 5
JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
"""Made for a short life on a small machine: a broker is up in half the time, of which it spends less compiling."""


class BrokerError(Exception):
    """The broker cannot be run; the text says why."""


def java_problem() -> str | None:
    """Why no broker can run here, or None."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    return f"{' and '.join(missing)} not found; a real Kafka broker needs Java 17 and Maven" if missing else None


def jars(cache: Path) -> Path:
    """The directory with the broker's jars, fetched by Maven where it is not there yet."""
    if named := os.environ.get(JARS_VARIABLE):
        return Path(named)
    return fetched(cache / "kafka-jars", Path(str(files("tests.support") / "kafka" / "pom.xml")))


def fetched(target: Path, pom: Path, goal: str = "copy-dependencies") -> Path:
    """A directory with the jars that a pom names, or with what is in its archives.

    Several processes may ask at once: one fetches, the others wait for it, since two Mavens that copy into one
    directory trip over each other's half-written files.
    """
    complete = target / "complete"
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            _fetch(target, pom, goal)
            complete.touch()
    return target


def _fetch(target: Path, pom: Path, goal: str) -> None:
    command = ["mvn", "-q", "-B", "-f", str(pom), f"dependency:{goal}", f"-DoutputDirectory={target}"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise BrokerError(f"Maven could not fetch the jars of {pom}:\n{outcome.stdout[-2000:]}{outcome.stderr[-2000:]}")


free_port = FreePorts(range(20_000, 32_000)).take
"""A port of loopback that nobody listens on right now, and that this process has not had before."""


TWO_DISKS = {
    "log.dirs": "{data}/log,{data}/second",
    "metadata.log.dir": "{data}/metadata",
    "offsets.topic.num.partitions": "1",
}
"""Properties of a broker of which a disk can fail."""


def _shared_classes(cache: Path, jars: Path) -> list[str]:
    """The word that has a JVM map the classes of brokers, where they have been archived."""
    archive = class_archive(cache.resolve(), jars, lambda archive: _run_once(cache, archive))
    return [f"-XX:SharedArchiveFile={archive}"] if archive else []


def _run_once(cache: Path, archive: Path) -> None:
    """Have a broker load its classes and write them to an archive when it ends."""
    with tempfile.TemporaryDirectory(prefix="kafka-classes-") as directory:
        broker = KafkaBroker(Path(directory), cache, classes=[f"-XX:ArchiveClassesAtExit={archive}"]).start()
        broker.create_topic("topic", 1)
        broker.stop()


SCRAM_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")


class KafkaBroker(JavaProcess):
    """One broker with its data in a directory. Ports stay the same over restarts.

    ``extra`` replaces or adds properties; {port}, {controller_port} and {data} in them are filled in. ``scram`` are
    users of SCRAM and their passwords. ``classes`` are words to the JVM about where its classes come from.
    """

    def __init__(
        self,
        data: Path,
        cache: Path,
        extra: Mapping[str, str] | None = None,
        scram: Mapping[str, str] | None = None,
        classes: Sequence[str] | None = None,
        cluster_id: str = "",
    ) -> None:
        self.data, self._jars = data.resolve(), jars(cache).resolve()
        self._classes = _shared_classes(cache, self._jars) if classes is None else classes
        self._port, controller_port = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{self._port}"
        self.data.mkdir(parents=True, exist_ok=True)
        template = (files("tests.support") / "kafka" / "test-broker.properties").read_text()
        self._properties = self.data / "server.properties"
        text = template + "".join(f"{name}={value}\n" for name, value in (extra or {}).items())
        self._properties.write_text(text.format(port=self._port, controller_port=controller_port, data=self.data))
        self._format(scram or {}, cluster_id or _cluster_id())

    def _java(self, *words: str) -> list[str]:
        return ["java", *JVM, *self._classes, "-cp", f"{self._jars}/*", *words]

    def _format(self, scram: Mapping[str, str], cluster_id: str) -> None:
        users = [
            f"{mechanism}=[name={name},password={password}]"
            for mechanism in SCRAM_MECHANISMS
            for name, password in scram.items()
        ]
        added = [word for user in users for word in ("--add-scram", user)]
        words = ["-t", cluster_id, "-c", str(self._properties), *added]
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", *words), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BrokerError(f"the broker refuses its properties:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def start(self) -> "KafkaBroker":
        """Start and wait until the broker answers. Raises BrokerError with the end of its log."""
        with (self.data / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._properties)), stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.admin().list_topics(timeout=1)
            except KafkaException:
                continue
            return self
        tail = (self.data / "broker.log").read_text(errors="replace")[-3000:]
        self.kill()
        raise BrokerError(f"the broker did not come up within {START_SECONDS} s:\n{tail}")

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def _tell_why(self) -> None:
        """Keep the broker's log, into which it writes what its threads wait for."""
        assert self._process is not None
        log, kept = self.data / "broker.log", Path(tempfile.gettempdir()) / f"broker-{self._process.pid}.log"
        said = log.stat().st_size
        self._process.send_signal(signal.SIGQUIT)
        deadline = time.monotonic() + DUMP_SECONDS
        while b"JNI global refs" not in log.read_bytes()[said:] and time.monotonic() < deadline:
            time.sleep(0.1)
        shutil.copy(log, kept)
        print(f"a broker did not stop within {STOP_SECONDS} s and is killed; its log: {kept}", file=sys.stderr)

    def fail_disk(self) -> Callable[[], None]:
        """Start again with one of two disks failed (see TWO_DISKS), the one that the group's offsets are not on.

        Partitions on it have no leader until what is returned has been called, which starts the broker again.
        """
        (offsets,) = self.data.glob("*/__consumer_offsets-0")
        (directory,) = {self.data / "log", self.data / "second"} - {offsets.parent}
        aside = self.data / "aside"
        self.stop()
        directory.rename(aside)
        directory.write_bytes(b"")  # a file where the directory was: the whole disk counts as failed
        self.start()

        def heal() -> None:
            self.stop()
            directory.unlink()
            aside.rename(directory)
            self.start()

        return heal

    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def create_topic(self, name: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
        """Make a topic, as people make them: it keeps producers' timestamps unless the config says otherwise."""
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        admin = self.admin()  # must outlive the futures
        for future in admin.create_topics([topic]).values():
            future.result(30)

    def add_partitions(self, name: str, total: int) -> None:
        admin = self.admin()
        for future in admin.create_partitions([NewPartitions(name, total)]).values():
            future.result(30)


def _cluster_id() -> str:
    """A random id as Kafka writes them, which never begins like an option."""
    first, *others = uuid.uuid4().bytes
    return base64.urlsafe_b64encode(bytes([first & 0x7F, *others])).rstrip(b"=").decode()


def main() -> None:
    """Run a broker until SIGTERM; prints its address when it is ready."""
    parser = argparse.ArgumentParser(description="A real Kafka broker on loopback, for trying things out")
    parser.add_argument("--data", type=Path, required=True, help="directory of the broker's data; made if missing")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="directory that keeps the jars")
    parser.add_argument("--topic", help="a topic to make")
    parser.add_argument("--partitions", type=int, default=8)
    arguments = parser.parse_args()
    if problem := java_problem():
        sys.exit(problem)
    done = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: done.set())
    broker = KafkaBroker(arguments.data, arguments.cache).start()
    if arguments.topic:
        broker.create_topic(arguments.topic, arguments.partitions)
    print(broker.bootstrap, flush=True)
    done.wait()
    broker.stop()


if __name__ == "__main__":
    main()
