"""Losses that operators have accepted, as far as the reading thread knows them."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.errors import SinkUnavailable

log = logging.getLogger(__name__)

Gaps = Mapping[Place, Sequence[Gap]]


@dataclass(slots=True)
class Accepted:
    """A copy of the accepted gaps. ``read`` blocks on ClickHouse, so that it is called in a thread."""

    read: Callable[[], Gaps]
    _gaps: Gaps = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    def gaps(self, place: Place) -> Sequence[Gap]:
        """The gaps of a partition, as they were when last read."""
        return self._gaps.get(place, ())

    def forget(self) -> None:
        """Forget the copy: partitions start anew, perhaps of a topic made anew, which inherits no loss."""
        self._gaps = {}

    def refresh(self) -> None:
        """Read them again in the background, once at a time. Where that fails the next attempt asks again."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            self._gaps = await asyncio.get_running_loop().run_in_executor(None, self.read)
        except SinkUnavailable as error:
            log.info("the accepted losses could not be read: %s", error)
