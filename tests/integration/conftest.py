"""A server of the API with an application that shows what reached it, and a schema registry."""

from collections.abc import Iterator

import pytest

from tests.support.apicurio import Registry
from tests.support.kafka_broker import java_problem
from tests.support.serving import Site, serving
from tests.support.system import ROOT, require


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


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A schema registry for all tests that leave it running; they keep apart by the names of their subjects."""
    require(java_problem())
    running = Registry(tmp_path_factory.mktemp("registry"), ROOT / ".cache").start()
    yield running
    running.stop()
