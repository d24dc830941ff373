"""Options of the whole suite."""

import gc
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Nothing may depend on where a machine stands: unless told, the suite and every process it starts run far from UTC.
os.environ.setdefault("TZ", "America/New_York")
time.tzset()

SHARED_MEMORY, ROOMY_BYTES = Path("/dev/shm"), 2 << 30
"""On a disk two thirds of the contract tests' system time went into the small files of ClickHouse. All tests together
have some 200 MiB at a time. What a killed process has written survives it here as it does there."""


def keep_temporary_directories_in_memory() -> None:
    """Where there is room, and programs may be run from it, which containers forbid."""
    if SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK):
        may_run = not os.statvfs(SHARED_MEMORY).f_flag & os.ST_NOEXEC
        if may_run and shutil.disk_usage(SHARED_MEMORY).free >= ROOMY_BYTES:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SHARED_MEMORY))


keep_temporary_directories_in_memory()

NO_SKIP = "MSGMETRICS_TEST_NO_SKIP"

# Nor on how busy it is: a property is true or false, whatever time an example takes.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """With MSGMETRICS_TEST_NO_SKIP set, a test that skips has failed: nothing is left out in silence."""
    report = yield
    if report.skipped and os.environ.get(NO_SKIP) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


def pytest_collection_finish() -> None:
    """Spare the collections below what lives as long as the process: thousands of tests, and what they import."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def leaks_fail_where_they_are_made() -> Iterator[None]:
    """Collects after each file: a socket or coroutine left in a circle would else be found at the end, or by nobody."""
    yield
    gc.collect()


LONGEST_FIRST = (
    "tests/integration/test_topics.py",
    "tests/integration/test_repair.py",
    "tests/integration/test_replay.py",
    "tests/faults/test_readiness.py",
    "tests/integration/test_unreadable.py",
    "tests/integration/test_pipeline.py",
    "tests/docs/test_on_dev.py",
    "tests/browser/test_dashboard.py",
    "tests/faults/",
    "tests/integration/",
    "tests/docs/",
    "tests/browser/",
    "tests/sim/",
    "tests/contract/",
)
"""Files are spread over more processes than there are cores, since many mostly wait for processes of their own. What
takes long begins, so that short files are left to fill the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((n for n, name in enumerate(LONGEST_FIRST) if item.nodeid.startswith(name)), len(LONGEST_FIRST))

    items.sort(key=place)
