"""Node.js with a Kafka client, for the documents' JavaScript."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.system import NO_SKIP

KAFKAJS = "kafkajs@2.2.4"


def node_problem() -> str | None:
    """Why no JavaScript can run here, or None."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    return f"{' and '.join(missing)} not found; the documents' JavaScript needs Node.js 18" if missing else None


def require_node() -> None:
    """Skip where no JavaScript can run; fail where skips are forbidden."""
    if problem := node_problem():
        if os.environ.get(NO_SKIP):
            pytest.fail(problem)
        pytest.skip(problem)


def node_modules(cache: Path) -> Path:
    """The directory with KafkaJS, fetched by npm where it is not there yet."""
    target = cache / "node"
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "node_modules" / "kafkajs").exists():
            words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(target), KAFKAJS]
            subprocess.run(words, check=True, capture_output=True, timeout=120)
    return target / "node_modules"
