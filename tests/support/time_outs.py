"""Statements that time out amid their answer, beside small ones: ``python -m tests.support.time_outs TARGET``.

As a program of its own for the embedded engine without a server, of which a process can have one only.
"""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from pipeline.clickhouse.client import ClickHouse
from pipeline.errors import SinkUnavailable

THREADS, ROUNDS = 3, 4
LARGE = (
    "SELECT number, repeat('x', 300000), sleepEachRow(0.02) FROM numbers(100) "
    "SETTINGS max_block_size = 1, max_threads = 1, max_execution_time = 0.15"
)
"""Some rows are written before its time is over, more than a server holds back."""
SMALL = "SELECT {nonce:UInt64} FROM numbers({rows:UInt8})"


def ask_beside_time_outs(target: str) -> Counter[str]:
    """What became of every statement: timed out, answered, or the answer that was not its own."""
    store, seen = ClickHouse(target, 10), Counter[str]()

    def ask(thread: int) -> None:
        for number in range(ROUNDS):
            try:
                list((store.rows if number % 2 else store.stream)("reading much", LARGE))
                seen["read to its end"] += 1
            except SinkUnavailable as error:
                seen["timed out" if "TIMEOUT_EXCEEDED" in str(error) or "Timeout" in str(error) else str(error)] += 1
            for rows in (0, 2):
                nonce = thread * 1000 + number * 10 + rows
                got = store.rows("reading little", SMALL, nonce=nonce, rows=rows)
                seen["answered" if list(got) == [(nonce,)] * rows else f"{rows} rows of {nonce}: {got!r}"[:200]] += 1

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(ask, range(THREADS)))
    return seen


if __name__ == "__main__":
    for outcome, count in ask_beside_time_outs(sys.argv[1]).items():
        print(f"{count} {outcome}")
