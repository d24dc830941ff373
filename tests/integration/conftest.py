"""A server of the API with an application that shows what reached it."""

from collections.abc import Iterator

import pytest

from tests.support.serving import Site, serving


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    site = Site()
    with serving(site) as site.server:
        yield site


@pytest.fixture
def site(running: Site) -> Site:
    """The same one for the tests of a file; nothing is held yet."""
    running.held, running.longest_queue = 0, 0
    return running
