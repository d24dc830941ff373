"""A real schema registry, Apicurio from Maven, for tests: started, stopped, killed and restarted on the same data."""

import contextlib
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.support.java_process import JavaProcess
from tests.support.kafka_broker import fetched, free_port

START_SECONDS = 90
ASK_SECONDS = 0.05
JVM = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
"""Made for a short life on a small machine: some 220 MiB, and up in three to five seconds."""
PROPERTIES = {
    "quarkus.http.host": "127.0.0.1",
    "quarkus.http.port": "{port}",
    "quarkus.management.host": "127.0.0.1",
    "quarkus.management.port": "0",  # any; health and metrics, which nobody asks for
    "quarkus.banner.enabled": "false",
    "quarkus.scheduler.enabled": "false",
    "apicurio.datasource.url": "jdbc:h2:file:{data}/schemas;WRITE_DELAY=0",  # what it has acknowledged survives a kill
    "apicurio.datasource.jdbc.initial-size": "1",
    "apicurio.datasource.jdbc.min-size": "1",
    "apicurio.datasource.jdbc.max-size": "10",
}


class RegistryError(Exception):
    """The registry cannot be run; the text says why."""


def basic_auth(users: Mapping[str, str]) -> dict[str, str]:
    """Properties of a registry that lets in only these users, by their passwords."""
    embedded = "quarkus.security.users.embedded"
    return {
        "quarkus.http.auth.basic": "true",
        f"{embedded}.plain-text": "true",
        **{f"{embedded}.users.{name}": password for name, password in users.items()},
        **{f"{embedded}.roles.{name}": "sr-admin" for name in users},
    }


class Registry(JavaProcess):
    """One registry with its schemas in a directory. The port stays the same over restarts.

    ``extra`` replaces or adds properties; {port} and {data} in them are filled in. ``url`` is where it speaks as
    Confluent's does.
    """

    def __init__(self, data: Path, cache: Path, extra: Mapping[str, str] | None = None) -> None:
        self._data, self._port = data.resolve(), free_port()
        self._log = self._data / "registry.log"
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"
        self._data.mkdir(parents=True, exist_ok=True)
        self._words = self._command(_program(cache), {**PROPERTIES, **(extra or {})})

    def _command(self, program: Path, properties: Mapping[str, str]) -> list[str]:
        values = {name: value.format(port=self._port, data=self._data) for name, value in properties.items()}
        return ["java", *JVM, *(f"-D{name}={value}" for name, value in values.items()), "-jar", str(program)]

    def start(self) -> "Registry":
        """Start and wait until the registry answers. Raises RegistryError with the end of its log."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words, stdout=log, stderr=log, cwd=self._data, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return self
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ASK_SECONDS)
        tail = self._log.read_text(errors="replace")[-3000:]
        self.kill()
        raise RegistryError(f"the registry did not come up within {START_SECONDS} s:\n{tail}")

    def _answers(self) -> bool:
        """Also where it lets in only its users."""
        try:
            urllib.request.urlopen(f"{self.url}/subjects", timeout=START_SECONDS).close()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 401
        except OSError:
            return False
        return True

    def restart(self) -> None:
        self.stop()
        self.start()


def _program(cache: Path) -> Path:
    """The registry's jar, fetched by Maven where it is not there yet."""
    pom = Path(__file__).with_name("pom.xml")
    (program,) = fetched(cache / "apicurio", pom, "unpack").resolve().glob("*.jar")
    return program
