"""One site for all tests of a process, and one browser a file."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.browser.site import Site, running_site, stories


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("clickhouse"), stories) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not longer than a file: as long as Playwright runs, no other test of the process can run an event loop."""
    with chromium() as started:
        yield started
