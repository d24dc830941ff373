"""Clocks, chance and the environment are arguments: only the shells named here, each for its reason, ask for them.

The lists can only shrink: a file that has no need any more is noticed too.
"""

import pytest

from tests.support.source import PACKAGES, name_of, references, sources

CLOCKS = (
    *(f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter", "process_time") for unit in ("", "_ns")),
    *("time.clock_gettime", "time.localtime", "time.gmtime", "time.ctime", "time.asctime"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    *("loop.time", "schemas.instant.wall_clock_ms", "pipeline.clock.this_moment", "pipeline.clock.running_ms"),
)
CHANCE = (
    *("random", "secrets", "numpy.random", "os.urandom", "os.getrandom"),
    *("uuid.uuid1", "uuid.uuid4", "ulid.ULID"),
)
ENVIRONMENT = ("os.environ", "os.environb", "os.getenv", "os.getenvb")

CLOCK_SHELLS = {
    "schemas/instant.py": "defines the wall clock in milliseconds",
    "pipeline/clock.py": "defines the moment, by both clocks",
    "pipeline/worker/worker.py": "composes the worker and hands the clock on",
    "pipeline/worker/operations.py": "uptime",
    "pipeline/kafka/consumer.py": "when batches were read, and how long a fetch may wait",
    "pipeline/kafka/fetcher.py": "how old an answer is, as aiokafka asks",
    "pipeline/kafka/log_consumer.py": "how long a poll may wait",
    "pipeline/runner.py": "when a peer was asked and when it answered",
    "pipeline/clickhouse/store.py": "how long a closing took",
    "pipeline/clickhouse/deletions.py": "how long a deletion is waited for",
    "pipeline/clickhouse/inserts.py": "when inserts of a cluster have ended",
    "pipeline/repair/lease.py": "when the lease was renewed",
    "pipeline/repair/replay.py": "when a replay's recomputes are due",
    "pipeline/repair/replay_reading.py": "when a replay's flushes are due, and its rate",
    "api/server.py": "composes the API and hands the clocks on",
    "api/app.py": "how long a request took, for its line in the log",
    "api/protocol.py": "which connection has been idle for longest",
    "deploy/cli/replay.py": "composes a replay and hands the clock on",
    "deploy/cli/check.py": "hands the clock on",
    "deploy/cli/produce.py": "hands the clock on",
    "deploy/cli/statement_texts.py": "hands the clock on",
    "deploy/cli/backup.py": "patience with the workers' commits",
    "deploy/cli/endings.py": "tells a second Ctrl-C from one that came twice",
    "deploy/cli/redrive.py": "patience with the brokers",
    "deploy/cli/doctor.py": "compares the clocks",
    "deploy/cli/kafka.py": "when a token expires",
    "deploy/cli/dev.py": "composes the development system",
}
CHANCE_SHELLS = {
    "schemas/api_key.py": "makes keys",
    "pipeline/runner.py": "jitter between retries",
    "pipeline/worker/worker.py": "composes the worker and hands the maker of ids on",
    "pipeline/clickhouse/deletions.py": "ids of deletions",
    "pipeline/repair/lease.py": "the id of the lease's holder",
    "pipeline/repair/replay.py": "ids of replays and recomputes",
    "pipeline/repair/replay_forecast.py": "the forecast's id",
    "api/app.py": "request ids",
    "api/reader.py": "nonces of statements",
    "api/protocol.py": "request ids of what never becomes a request",
    "deploy/migrations/apply.py": "makes the secret that signs cursors",
    "deploy/cli/accounts.py": "ids of keys",
    "deploy/cli/dev.py": "makes the password of its ClickHouse port",
    "deploy/cli/demo.py": "demo traffic, from a seed",
}
ENVIRONMENT_SHELLS = {
    "deploy/cli/context.py": "hands it to read_settings",
}


@pytest.mark.parametrize(
    ("names", "shells"),
    [(CLOCKS, CLOCK_SHELLS), (CHANCE, CHANCE_SHELLS), (ENVIRONMENT, ENVIRONMENT_SHELLS)],
    ids=["clocks", "chance", "environment"],
)
def test_only_the_named_shells_ask(names: tuple[str, ...], shells: dict[str, str]) -> None:
    asking = {name_of(file): used for file in sources(*PACKAGES) if (used := asks(file.read_text(), names))}
    assert {file: used for file, used in asking.items() if file not in shells} == {}
    assert shells.keys() - asking.keys() == set(), "they have no need any more: take them off the list"


def asks(source: str, names: tuple[str, ...]) -> set[str]:
    """References of the source to one of the names, or to anything below one."""
    return {used for used in references(source) if any(used == name or used.startswith(name + ".") for name in names)}


@pytest.mark.parametrize(
    "source",
    [
        "import time; time.monotonic()",
        "import time as t; start(timer=t.perf_counter_ns)",
        "from time import monotonic",
        "from time import time_ns as ns; ns()",
        "from datetime import UTC, datetime; datetime.now(UTC)",
        "import datetime as dt; today = dt.date.today",
        "import asyncio; asyncio.get_running_loop().time()",
        "def f(self): self._loop.time()",
        "def f():\n    from schemas.instant import wall_clock_ms\n    return wall_clock_ms()",
    ],
)
def test_a_clock_is_found_however_it_is_written(source: str) -> None:
    assert asks(source, CLOCKS)


@pytest.mark.parametrize(
    "source",
    [
        "import time; time.sleep(1)",
        "from datetime import UTC, datetime; datetime.fromtimestamp(0, UTC)",
        "with metrics.STAGE_SECONDS.labels('poll').time(): ...",
        "def f(monotonic): monotonic()",
        "import random_words; random_words.pick()",
    ],
)
def test_what_asks_for_nothing_is_left_alone(source: str) -> None:
    assert not asks(source, (*CLOCKS, *CHANCE, *ENVIRONMENT))


@pytest.mark.parametrize(
    "source",
    [
        "import random; random.Random().random()",
        "from uuid import uuid4",
        "import numpy as np; np.random.rand()",
        "from ulid import ULID; str(ULID())",
    ],
)
def test_chance_is_found_however_it_is_written(source: str) -> None:
    assert asks(source, CHANCE)
