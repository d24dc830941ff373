"""Work in a process of its own: load that shares a lock with its measure is none."""

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class Apart(Generic[T]):
    """Works for as long as the ``with`` block lasts, which begins when the process is ready; then has a ``result``.

    ``work`` is called with an event and ``words``, and returns the result once the event is set. Leaving the block
    raises EOFError where it has failed.
    """

    result: T

    def __init__(self, work: Callable[..., T], *words: Any) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._ours, self._theirs = spawning.Pipe()
        self._process = spawning.Process(target=_work, args=(self._theirs, work, words), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        self._ours.recv()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ours.send("enough")
        self.result = self._ours.recv()
        self._process.join()


def _work(parent: Connection, work: Callable[..., Any], words: tuple[Any, ...]) -> None:
    enough = threading.Event()

    def wait() -> None:
        parent.recv()
        enough.set()

    parent.send("ready")
    threading.Thread(target=wait, daemon=True).start()
    parent.send(work(enough, *words))
