"""Head and body of an answer go out together, and a closed connection has sent what was written."""

import asyncio
from typing import Any

from api.protocol import Gathering


class Recorder:
    """A transport that notes what it is told."""

    limit = 65536

    def __init__(self) -> None:
        self.told: list[Any] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("closed")


def test_what_is_written_in_one_turn_is_sent_at_once() -> None:
    async def turns() -> None:
        transport = Gathering(recorder, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.write(b"head ")
        transport.write(b"body")
        assert recorder.told == []
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)
        assert transport.limit == Recorder.limit, "everything else is the transport's own"

    recorder = Recorder()
    asyncio.run(turns())
    assert recorder.told == [b"head body", b"next"]


def test_closing_sends_what_was_written_first_and_nothing_after() -> None:
    async def turns() -> None:
        transport = Gathering(recorder, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.write(b"refused")
        transport.close()
        await asyncio.sleep(0)

    recorder = Recorder()
    asyncio.run(turns())
    assert recorder.told == [b"refused", "closed"]
