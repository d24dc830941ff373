"""Ctrl-C and SIGTERM for commands that must say, where they are interrupted, what became of their work."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from deploy.errors import Interrupted
from pipeline.errors import NotMigrated, SinkRefuses, SinkUnavailable

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def unfinished(rest: str) -> Iterator[None]:
    """Add to the reason why work on ClickHouse ends midway what becomes of the rest of it.

    Raises Interrupted after Ctrl-C, and the errors of ClickHouse again.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {rest}") from None
    except NotMigrated:  # nothing has begun
        raise
    except (SinkUnavailable, SinkRefuses) as error:
        raise type(error)(f"{error}; {rest}") from error


class Interruption:
    """Until ``defer`` either signal ends the work with Interrupted; from then on it is only noted in ``came``.

    ``state`` is how far the work has come until then. The same signal again ends the process at once. One that is
    ignored, as SIGINT is in the background of a script, stays ignored.
    """

    def __init__(self, state: str) -> None:
        self.came = False
        self._state = state
        self._deferred = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        self._before = {number: found for number in SIGNALS if (found := signal.getsignal(number)) != signal.SIG_IGN}
        for number in self._before:
            signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is KeyboardInterrupt:
            raise Interrupted(f"interrupted; {self._state}") from None

    def defer(self) -> None:
        """Raise nothing from now on: an exception within a driver's callback is lost, or reported as another."""
        self._deferred = True

    def _take(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self.came = True
        if not self._deferred:
            raise KeyboardInterrupt
