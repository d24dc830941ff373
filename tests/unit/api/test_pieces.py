"""A large answer is cut, and no byte of it is lost, doubled or copied."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.pieces import PIECE_BYTES, InPieces


def sent(*messages: Message) -> list[Any]:
    """What goes out where an application sends these."""
    out: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def note(message: Message) -> None:
        out.append(message)

    asyncio.run(InPieces(app)({"type": "http"}, None, note))  # type: ignore[arg-type]
    return out


def body(content: bytes, **more: bool) -> Message:
    return {"type": "http.response.body", "body": content, **more}


def test_what_is_small_goes_out_as_it_is() -> None:
    messages = [{"type": "http.response.start", "status": 200}, body(b"x" * PIECE_BYTES), {"type": "http.other"}]
    out = sent(*messages)
    assert all(one is other for one, other in zip(out, messages, strict=True))


@pytest.mark.parametrize("excess", [1, PIECE_BYTES - 1, PIECE_BYTES, 5 * PIECE_BYTES + 7])
@pytest.mark.parametrize("has_more", [False, True])
def test_a_large_one_goes_out_in_pieces_of_itself_of_which_the_last_says_so(excess: int, has_more: bool) -> None:
    content = bytes(range(256)) * (1 + (PIECE_BYTES + excess) // 256)
    content = content[: PIECE_BYTES + excess]
    out = sent(body(content, more_body=has_more))
    assert b"".join(message["body"] for message in out) == content
    assert all(message["body"].obj is content and len(message["body"]) <= PIECE_BYTES for message in out)
    assert [message["more_body"] for message in out] == [True] * (len(out) - 1) + [has_more]
