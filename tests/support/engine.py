"""A ClickHouse for contract tests: the one that MSGMETRICS_TEST_CLICKHOUSE_URL names, or the embedded engine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def clickhouse_process(directory: Path, config: Path | None = None) -> Iterator[str]:
    """The server's URL without a database. With a configuration it is always the embedded engine."""
    if config is None and (named := os.environ.get("MSGMETRICS_TEST_CLICKHOUSE_URL")):
        yield named.rstrip("/")
        return
    words = [sys.executable, "-m", "deploy.engines.chdb_http", "--path", str(directory / "data")]
    words += ["--config", str(config)] if config else []
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if config else None, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            yield url.rsplit("/", 1)[0]
        finally:
            process.terminate()
