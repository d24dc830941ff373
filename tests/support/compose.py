"""The compose file as Compose itself understands it: its own binary parses, checks and resolves it."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.engine import ROOT


@cache
def compose(name: str = "docker-compose.yml") -> dict[str, Any]:
    """All services of all profiles, resolved. Fails with Compose's own words where the file breaks its schema."""
    binary = Path(sys.executable).parent / "docker-compose"
    done = subprocess.run(
        [binary, "--file", ROOT / name, "--profile", "*", "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("MSGMETRICS_")},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def services(name: str = "docker-compose.yml") -> dict[str, dict[str, Any]]:
    """Services by name."""
    found: dict[str, dict[str, Any]] = compose(name)["services"]
    return found


OURS = ("migrate", "worker", "api", "operator")


def started_cluster_id(kafka_data: Path) -> str:
    """The cluster id that the compose file's command for the broker gives to the image's program on this data."""
    kafka = services()["kafka"]
    shell, script, _ = kafka["command"]
    (file,) = [mount["source"] for mount in kafka["volumes"] if mount["target"] == script]
    words, environment = [shell, file, "printenv", "CLUSTER_ID"], {**os.environ, "KAFKA_LOG_DIRS": str(kafka_data)}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.strip()
