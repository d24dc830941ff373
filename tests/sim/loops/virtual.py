"""An event loop without a clock or a network: time jumps to whatever is due next, and a seed decides whose turn it is.

Runs ordinary asyncio code. Every task belongs to a *process*, known by its context: what a process has ready runs in
the order in which asyncio would run it, and whose turn it is among processes is the seed's choice. A process that is
killed is never resumed (it is not cancelled: no ``finally`` of it runs before the end of the world), one that is frozen
goes on later as if nothing had been.
"""

import asyncio
import heapq
import inspect
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Process:
    """Something that can stop on its own: a worker's loops, the thread that talks to Kafka, ClickHouse, the world."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.frozen_until = 0.0
        self.ready: deque[_Step] = deque()


NOBODY = Process("nobody")
_PROCESS: ContextVar[Process] = ContextVar("process", default=NOBODY)


class _Step:
    """A callback that is ready, or will be at its time: what asyncio calls a handle."""

    __slots__ = ("args", "callback", "context", "is_cancelled", "process", "time")

    def __init__(self, time: float, callback: Callable[..., Any], args: Any, context: Context) -> None:
        self.time, self.callback, self.args, self.context = time, callback, args, context
        self.process = context.get(_PROCESS, NOBODY)
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self.time


class VirtualLoop(asyncio.AbstractEventLoop):
    """The part of an event loop that tasks, futures, sleeps and timeouts need."""

    def __init__(self, pick: random.Random) -> None:
        self._now = 0.0
        self._pick = pick
        self._timers: list[tuple[float, int, _Step]] = []
        self._numbers = itertools.count()
        self._runnable: list[Process] = []
        self._tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        step = _Step(self._now, callback, args, context if context is not None else copy_context())
        self._enqueue(step)
        return step

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        step = _Step(when, callback, args, context if context is not None else copy_context())
        heapq.heappush(self._timers, (when, next(self._numbers), step))
        return step

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=str(name), context=context)
        self._tasks.append(task)  # kept, so that what is killed is not finalised while the world goes on
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Say nothing of tasks that end with their world: ``failures`` has what raised."""

    def failures(self) -> list[BaseException]:
        """The exceptions of all tasks that have ended by one."""
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        return [error for task in ended if (error := task.exception()) is not None]

    # -- processes ----------------------------------------------------------------------------------------------

    def spawn(self, process: Process, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start a task that belongs to a process; where that is dead, one that never begins."""
        context = copy_context()
        context.run(_PROCESS.set, process)
        return self.create_task(work, context=context)

    def kill(self, process: Process) -> None:
        """Never run anything of a process again."""
        process.is_dead = True
        process.ready.clear()
        if process in self._runnable:
            self._runnable.remove(process)

    def run(self, until: float, is_done: Callable[[], bool] = lambda: False) -> None:
        """Run until that virtual time, or until ``is_done``, which is asked whenever time passes."""
        asyncio._set_running_loop(self)
        try:
            while True:
                if self._runnable:
                    self._step()
                elif is_done() or not self._advance(until):
                    return
        finally:
            asyncio._set_running_loop(None)

    def close(self) -> None:
        """End the world. What was never begun, since its process had died, is not missed."""
        for task in self._tasks:
            work = task.get_coro()
            if isinstance(work, Coroutine) and inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                work.close()

    def _enqueue(self, step: _Step) -> None:
        process = step.process
        if process.is_dead:
            return
        if not process.ready:
            self._runnable.append(process)
        process.ready.append(step)

    def _step(self) -> None:
        """Run the next step of some process that has one."""
        runnable = self._runnable
        at = int(self._pick.random() * len(runnable))
        process = runnable[at]
        step = process.ready.popleft()
        if not process.ready:
            runnable[at] = runnable[-1]
            runnable.pop()
        if step.is_cancelled:
            return
        if process.frozen_until > self._now:
            heapq.heappush(self._timers, (process.frozen_until, next(self._numbers), step))
            return
        step.context.run(step.callback, *step.args)

    def _advance(self, until: float) -> bool:
        """Let time pass to the next step that is due; False where that lies beyond ``until``."""
        timers = self._timers
        while timers and timers[0][2].is_cancelled:
            heapq.heappop(timers)
        if not timers or timers[0][0] > until:
            self._now = max(self._now, until)
            return False
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._enqueue(heapq.heappop(timers)[2])
        return True
