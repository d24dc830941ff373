import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A thousand worlds full of faults log more than anybody reads."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
