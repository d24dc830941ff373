"""The process of a worker."""

import asyncio
import logging
import os
from collections.abc import Callable

from pipeline.worker.collector import spare_the_collector
from pipeline.worker.worker import Worker
from schemas.settings import Settings


def run_worker(settings: Settings, listen: Callable[[asyncio.Event], None]) -> int:
    """Run a worker until ``listen``, called in its event loop, sets the event it is given: it listens for signals.

    Ends the process itself, since a hung insert must not keep it alive.
    """

    async def main() -> int:
        spare_the_collector()
        stop = asyncio.Event()
        listen(stop)
        code = await Worker(settings).run(stop)
        logging.shutdown()
        os._exit(code)

    return asyncio.run(main())
