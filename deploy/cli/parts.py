"""Parts of one process that live and end together, and the end of that process."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from deploy.cli.endings import end_at_once, ended, leave
from deploy.errors import CommandError, Unreachable
from pipeline.errors import PipelineError

log = logging.getLogger(__name__)

LEAVE_SECONDS = 15
"""Longer than the worker and the API take to leave in order; after this the process ends as it stands."""

ASK_SECONDS, PAUSE_SECONDS, MOST_UNANSWERED = 5.0, 1.0, 4

Part = Coroutine[Any, Any, None]


async def live_together(parts: Mapping[str, Part], stop: asyncio.Event) -> None:
    """Run parts until ``stop`` is set, or until one of them ends: then set it, and wait for the others.

    A part runs until ``stop`` is set. Raises CommandError with the names and the reasons of those that did not.
    """
    running = {name: asyncio.create_task(_guarded(name, part, stop)) for name, part in parts.items()}
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([*running.values(), stopping], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.wait(running.values(), timeout=LEAVE_SECONDS)
    reasons = [task.result() for task in running.values() if task.done()]
    if problems := [reason for reason in reasons if reason]:
        raise CommandError("\n".join(problems))


async def watch(ask: Callable[[float], None], stop: asyncio.Event) -> None:
    """Ask again and again whether something lives; ``ask`` raises where it has no answer within so many seconds.

    Raises Unreachable after several times in a row: one alone may be due to a machine that is busy or was suspended.
    """
    unanswered = 0
    while not stop.is_set():
        try:
            await asyncio.to_thread(ask, ASK_SECONDS)
            unanswered = 0
        except Exception as error:
            unanswered += 1
            if unanswered >= MOST_UNANSWERED:
                raise Unreachable(f"it was asked {unanswered} times and does not answer ({error})") from None
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PAUSE_SECONDS)


async def _guarded(name: str, part: Part, stop: asyncio.Event) -> str:
    """The sentence why a part ended before it was told to, or with an error; '' where all is well."""
    try:
        await part
    except (CommandError, PipelineError) as error:
        return f"{name} ended: {error}"
    except BaseException as error:
        log.error("%s ended because of a bug", name, exc_info=error)
        return f"{name} ended because of a bug ({type(error).__name__}: {error}); the log has its trace"
    return "" if stop.is_set() else f"{name} ended by itself"


def run_together(make: Callable[[asyncio.Event], Mapping[str, Part]], last: Callable[[], None]) -> NoReturn:
    """Run parts until SIGINT or SIGTERM or until one ends, call ``last``, and end the process.

    The exit code is 0 after a signal. asyncio.run would wait for every
    task and thread before it returns, so one that hangs would keep a process in which nothing works any more.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    code = 0
    try:
        loop.run_until_complete(_main(make))
    except BaseException as error:
        code = ended(error)
    last()
    leave(code)


async def _main(make: Callable[[asyncio.Event], Mapping[str, Part]]) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    await live_together(make(stop), stop)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set ``stop`` at SIGINT or SIGTERM. Ctrl-C after that ends the process at once; SIGTERM may be repeated."""
    loop = asyncio.get_running_loop()

    def told(*_: object) -> None:
        signal.signal(signal.SIGINT, end_at_once())
        loop.call_soon_threadsafe(stop.set)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, told)
