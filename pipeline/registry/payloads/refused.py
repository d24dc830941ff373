"""The refusal of what cannot be read by its schema."""

from typing import Final, NoReturn

from pipeline.core.envelope.frames import Reader
from pipeline.core.refusal import Refused
from schemas.message_event import DeadLetterReason

MAX_SCHEMA_CHARACTERS: Final = 1 << 20
MAX_DEPTH: Final = 64
"""Levels that a schema may be nested; it bounds the recursion of those who read it and by it."""


class PayloadRefused(Refused):
    """A payload cannot be read by its schema; the text says why, as a sentence."""

    def __init__(self, sentence: str, reason: DeadLetterReason = DeadLetterReason.INVALID_FIELD) -> None:
        super().__init__(reason, sentence)


def refusing(sentence: str, reason: DeadLetterReason = DeadLetterReason.INVALID_FIELD) -> Reader:
    """A reader that refuses every payload, for a schema that is itself the problem, or that nobody has."""

    def read(_payload: bytes) -> NoReturn:
        raise PayloadRefused(sentence, reason)

    return read
