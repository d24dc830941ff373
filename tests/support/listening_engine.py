"""The embedded engine as a program that listens: ``python -m tests.support.listening_engine DIRECTORY``.

It runs in the directory, whose ``config.xml`` it reads, until it is killed. See tests/support/clickhouse_node.py.
"""

import os
import sys
from pathlib import Path

from chdb import _chdb

LISTEN = (
    "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP;"
    " SELECT sleepEachRow(3) FROM numbers(100000) FORMAT Null SETTINGS max_block_size = 1"
)
"""It listens while this is answered: for days."""


def main() -> None:
    directory = Path(sys.argv[1])
    os.chdir(directory)
    (directory / "data" / "status").unlink(missing_ok=True)
    _chdb.query(LISTEN, "TSV", path=str(directory / "data"))  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
