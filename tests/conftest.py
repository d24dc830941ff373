"""Options of the whole suite."""

import os

import pytest

NO_SKIP = "MSGMETRICS_TEST_NO_SKIP"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """With MSGMETRICS_TEST_NO_SKIP set, a test that skips has failed: nothing is left out in silence."""
    report = yield
    if report.skipped and os.environ.get(NO_SKIP) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report
