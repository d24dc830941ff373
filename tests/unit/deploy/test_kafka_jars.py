"""The broker's jars are fetched once, however many test processes ask for them at the same moment."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engine import ROOT

MAVEN = """#!/bin/sh
for word in "$@"; do case "$word" in -DoutputDirectory=*) target="${word#*=}";; esac; done
mkdir "$target/busy" || exit 1
echo once >> "$target/fetched"
sleep 0.5
rmdir "$target/busy"
"""
ASK = (
    "import sys; from pathlib import Path; from tests.support.kafka_broker import jars; print(jars(Path(sys.argv[1])))"
)


def test_one_fetches_and_the_others_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven, cache = tmp_path / "bin" / "mvn", tmp_path / "cache"
    maven.parent.mkdir()
    maven.write_text(MAVEN)
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(maven.parent), prepend=":")
    monkeypatch.delenv("MSGMETRICS_TEST_KAFKA_JARS", raising=False)
    words = [sys.executable, "-c", ASK, str(cache)]
    asking = [subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {process.communicate(timeout=60)[0].strip() for process in asking}
    assert [process.returncode for process in asking] == [0, 0, 0]
    assert answers == {str(cache / "kafka-jars")}
    assert (cache / "kafka-jars" / "fetched").read_text() == "once\n"
