"""The event in the bytes of one JSON object, by every rule that depends on these alone."""

from collections.abc import Callable
from typing import Final

import msgspec

from pipeline.core.exact import EARLIEST_MS, LATEST_MS, SECOND_CHARACTERS, Costs, FieldError, Seconds, Suffixes
from pipeline.core.lenient import decode_around_halves
from pipeline.core.refusal import Refused
from schemas.message_event import (
    ABSENT,
    CHANNEL_PATTERN,
    CHARGED,
    FAILED,
    FIELD_RULES,
    FIRST_YEAR,
    LAST_YEAR,
    MAX_EVENT_BYTES,
    OTHER_KEY,
    TYPE_CODES,
    TYPES,
    DeadLetterReason,
    MessageEvent,
)


class _Channels(dict[str, str]):
    """Channels known to be valid. An open set, so it forgets all when it grows too large."""

    def __missing__(self, channel: str) -> str:
        if CHANNEL_PATTERN.fullmatch(channel) is None or channel == OTHER_KEY:
            raise FieldError("channel", FIELD_RULES["channel"])
        if len(self) >= 10_000:
            self.clear()
        self[channel] = channel
        return channel


_YEARS: Final = f"must lie in the years {FIRST_YEAR} to {LAST_YEAR} (UTC)"
_ERROR_CODE: Final = f"must be left out on any type but message.failed, and never be {OTHER_KEY}"
_CHARGE: Final = TYPES[CHARGED - 1]
_NO_CHARGE: Final = f"is required on {_CHARGE}"
_NEGATIVE: Final = f"must not be negative on any type but {_CHARGE}"
_channels, _costs, _seconds, _suffixes = _Channels(), Costs(), Seconds(), Suffixes()


REQUIRED: Final = {f.name for f in msgspec.structs.fields(MessageEvent) if f.required}
"""The fields that an event must have."""
Event = tuple[MessageEvent, int, int]
"""An event, its cost in millionths of a cent and its time in epoch milliseconds."""


_read_event = msgspec.json.Decoder(MessageEvent).decode


def decode_event(value: bytes | None, read: Callable[[bytes], MessageEvent] = _read_event) -> Event:
    """The event that a text is, with nothing around it but what ``read`` knows of.

    Applies every rule that depends on the bytes alone. Raises Refused, FieldError or one of msgspec's errors;
    ``explain`` turns whatever it is into a reason and a sentence.
    """
    if not value:
        raise Refused(DeadLetterReason.EMPTY, "the record has no value; an event is one JSON object")
    if len(value) > MAX_EVENT_BYTES:
        sentence = f"the value has {len(value)} bytes; an event has at most {MAX_EVENT_BYTES}"
        raise Refused(DeadLetterReason.TOO_LARGE, sentence)
    if not value.isascii():
        value.decode()
    try:
        event = read(value)
    except msgspec.DecodeError as error:
        event = _decode_again(value, error)
    event.channel = _channels[event.channel]
    time = event.occurred_at
    occurred_ms = _seconds[time[:SECOND_CHARACTERS]] + _suffixes[time[SECOND_CHARACTERS:]]
    if not EARLIEST_MS <= occurred_ms < LATEST_MS:
        raise FieldError("occurred_at", _YEARS)
    if event.error_code is not None and (TYPE_CODES[event.type] != FAILED or event.error_code == OTHER_KEY):
        raise FieldError("error_code", _ERROR_CODE)
    cost = bytes(event.cost_cents)
    micros = _costs[cost]
    if micros <= 0:  # a positive one is right on every type
        is_charge = event.type == _CHARGE
        if is_charge and cost == ABSENT:
            raise FieldError("cost_cents", _NO_CHARGE)
        if micros and not is_charge:
            raise FieldError("cost_cents", _NEGATIVE)
    return event, micros, occurred_ms


def _decode_again(value: bytes, error: msgspec.DecodeError) -> MessageEvent:
    """The event, if all that is wrong are halves of surrogate pairs in fields that are ignored; else raises."""
    event = None if isinstance(error, msgspec.ValidationError) else decode_around_halves(value)
    if event is None:
        raise error
    return event
