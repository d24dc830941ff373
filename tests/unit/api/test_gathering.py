"""Head and body of an answer go out together, and a client that does not take them holds no closed connection."""

import asyncio
from typing import Any

import pytest

from api.gathering import Gathering


class Recorder:
    """A transport that notes what it is told. ``unsent`` bytes wait for the client at its end."""

    limit = 65536

    def __init__(self, unsent: int = 0) -> None:
        self.told: list[Any] = []
        self.unsent = unsent
        self.aborted = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("closed")

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.told.append("aborted")
        self.aborted.set()


def gathering(recorder: Recorder) -> Gathering:
    return Gathering(recorder, asyncio.get_running_loop(), 0)  # type: ignore[arg-type]


def test_what_is_written_in_one_turn_is_sent_at_once() -> None:
    async def turns() -> None:
        transport = gathering(recorder)
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
        transport = gathering(recorder)
        transport.write(b"refused")
        transport.close()
        await asyncio.sleep(0)

    recorder = Recorder()
    asyncio.run(turns())
    assert recorder.told == [b"refused", "closed"]


@pytest.mark.parametrize("unsent", [1, 65_536])
def test_a_closed_connection_whose_client_takes_nothing_is_cut_off(unsent: int) -> None:
    async def turns() -> None:
        gathering(recorder).close()
        await asyncio.wait_for(recorder.aborted.wait(), 5)

    recorder = Recorder(unsent)
    asyncio.run(turns())
    assert recorder.told == ["closed", "aborted"]
