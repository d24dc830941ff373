"""From the bytes of a record to a row of facts, or to a dead letter that says why not. Pure: time is an argument."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.core.exact import (
    EARLIEST_MS,
    LATEST_MS,
    SECOND_CHARACTERS,
    Costs,
    FieldError,
    Seconds,
    Suffixes,
    excerpt,
)
from pipeline.core.place import Place
from pipeline.core.records import Columns, DeadLetter, RawRecord
from schemas.message_event import (
    CHANNEL_PATTERN,
    FAILED,
    FIRST_YEAR,
    LAST_YEAR,
    MAX_EVENT_BYTES,
    MAX_EVENT_ID_CHARACTERS,
    MAX_ORG_CHARACTERS,
    OTHER_KEY,
    TYPE_CODES,
    DeadLetterReason,
    MessageEvent,
)


@dataclass(slots=True)
class Decoded:
    """The dead letters of a batch, and the largest min(occurred_at, record time) of its rows."""

    letters: list[DeadLetter]
    candidate_ms: int | None


class _Channels(dict[str, str]):
    """Channels known to be valid. An open set, so it forgets all when it grows too large."""

    def __missing__(self, channel: str) -> str:
        if CHANNEL_PATTERN.fullmatch(channel) is None or channel == OTHER_KEY:
            raise FieldError(
                f"channel must be 1 to 32 of [a-z0-9_.-] and not {OTHER_KEY}, not {excerpt(repr(channel))}"
            )
        if len(self) >= 10_000:
            self.clear()
        self[channel] = channel
        return channel


class _Refused(Exception):
    """A record is refused before its JSON is looked at, or for its time."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


_decode = msgspec.json.Decoder(MessageEvent).decode
_channels, _costs, _seconds, _suffixes = _Channels(), Costs(), Seconds(), Suffixes()


def decode_event(value: bytes | None) -> tuple[MessageEvent, int, int]:
    """The event in a record's value, its cost in millionths of a cent and its time in epoch milliseconds.

    Applies every rule that depends on the bytes alone. Raises _Refused, FieldError or one of msgspec's errors;
    ``explain`` turns whatever it is into a reason and a sentence.
    """
    if not value:
        raise _Refused(DeadLetterReason.EMPTY, "the record has no value; an event is one JSON object")
    if len(value) > MAX_EVENT_BYTES:
        sentence = f"the value has {len(value)} bytes; an event has at most {MAX_EVENT_BYTES}"
        raise _Refused(DeadLetterReason.TOO_LARGE, sentence)
    if not value.isascii():
        value.decode()
    event = _decode(value)
    event.channel = _channels[event.channel]
    time = event.occurred_at
    occurred_ms = _seconds[time[:SECOND_CHARACTERS]] + _suffixes[time[SECOND_CHARACTERS:]]
    if not EARLIEST_MS <= occurred_ms < LATEST_MS:
        raise FieldError(f"occurred_at must lie in the years {FIRST_YEAR} to {LAST_YEAR} (UTC), not {time}")
    if event.error_code is not None and (TYPE_CODES[event.type] != FAILED or event.error_code == OTHER_KEY):
        raise FieldError(f"error_code is only for message.failed, and never {OTHER_KEY}; this is {event.type}")
    return event, _costs[bytes(event.cost_cents)], occurred_ms


def decode_batch(
    place: Place,
    records: Iterable[RawRecord],
    now_ms: int,
    future_skew_ms: int,
    facts_floor_ms: int,
    into: Columns,
) -> Decoded:
    """Append the rows of a batch to ``into``. Every record becomes exactly one row or one dead letter.

    A dead letter never feeds the candidate, so that a wrong time cannot move the watermark.
    """
    letters: list[DeadLetter] = []
    candidate_ms = -1
    add_org, add_id, add_type = into.org_id.append, into.event_id.append, into.type.append
    add_channel, add_code, add_cost = into.channel.append, into.error_code.append, into.cost_micros.append
    add_time, add_record, add_offset = into.occurred_ms.append, into.record_ms.append, into.offset.append
    before = len(into)
    for record in records:
        try:
            event, micros, occurred_ms = decode_event(record.value)
        except Exception as error:
            letters.append(_letter(place, record, *explain(error)))
            continue
        record_ms = record.timestamp
        if record_ms is None or record_ms < 0:
            record_ms = now_ms
        if occurred_ms > (record_ms if record_ms < now_ms else now_ms) + future_skew_ms:
            letters.append(letter_for(place, record, DeadLetterReason.FUTURE_TIMESTAMP, future_skew_ms))
            continue
        if occurred_ms < facts_floor_ms:
            letters.append(letter_for(place, record, DeadLetterReason.TOO_LATE, facts_floor_ms))
            continue
        add_org(event.org_id)
        add_id(event.event_id)
        add_type(TYPE_CODES[event.type])
        add_channel(event.channel)
        add_code(event.error_code or "")
        add_cost(micros)
        add_time(occurred_ms)
        add_record(record_ms)
        add_offset(record.offset)
        known_ms = occurred_ms if occurred_ms < record_ms else record_ms
        if known_ms > candidate_ms:
            candidate_ms = known_ms
    into.place += [place] * (len(into) - before)
    return Decoded(letters, candidate_ms if candidate_ms >= 0 else None)


_AT_FIELD = re.compile(r" - at `\$\.?([^`]*)`")
_MISSING = re.compile(r"Object missing required field `(.+)`")


def explain(error: Exception) -> tuple[DeadLetterReason, str]:
    """Explain a refusal: a reason code, and a sentence that names field and rule."""
    text = str(error)
    match error:
        case _Refused():
            return error.reason, text
        case FieldError():
            return DeadLetterReason.INVALID_FIELD, text
        case msgspec.ValidationError():
            return DeadLetterReason.INVALID_FIELD, _validation_sentence(text)
        case msgspec.DecodeError() | RecursionError():
            return DeadLetterReason.MALFORMED_JSON, f"the value is not a JSON object: {text}"
        case UnicodeDecodeError():
            return DeadLetterReason.MALFORMED_JSON, f"the value is not UTF-8: {error.reason} at byte {error.start}"
    return DeadLetterReason.INVALID_FIELD, f"the value cannot be read as an event: {excerpt(repr(error))}"


def _validation_sentence(text: str) -> str:
    missing = _MISSING.match(text)
    if missing:
        return f"{missing[1]} is required and missing"
    where = _AT_FIELD.search(text)
    rule = _AT_FIELD.sub("", text)
    return f"{where[1]}: {rule[0].lower()}{rule[1:]}" if where and where[1] else f"the value: {rule}"


def letter_for(place: Place, record: RawRecord, reason: DeadLetterReason, limit_ms: int) -> DeadLetter:
    """A dead letter for a valid event whose time is the problem."""
    event, _, occurred_ms = decode_event(record.value)
    if reason is DeadLetterReason.FUTURE_TIMESTAMP:
        detail = f"occurred_at {event.occurred_at} is more than {limit_ms // 1000} s after the record's own time"
    else:
        detail = f"occurred_at {event.occurred_at} is before the time since which facts are kept; its bucket is final"
    return _letter(place, record, reason, detail, event, occurred_ms)


def _letter(
    place: Place,
    record: RawRecord,
    reason: DeadLetterReason,
    detail: str,
    event: MessageEvent | None = None,
    occurred_ms: int | None = None,
) -> DeadLetter:
    org_id, event_id = (event.org_id, event.event_id) if event else _attribution(record.value)
    return DeadLetter(
        place=place,
        offset=record.offset,
        reason=reason,
        detail=detail,
        record_ms=record.timestamp if record.timestamp is not None else -1,
        key=record.key,
        value=record.value,
        headers=tuple((n.encode() if isinstance(n, str) else n, value) for n, value in record.headers),
        org_id=org_id,
        event_id=event_id,
        occurred_ms=occurred_ms,
    )


class _Named(msgspec.Struct, gc=False):
    """Fields that may be readable in a broken event."""

    org_id: Any = None
    event_id: Any = None


_decode_named = msgspec.json.Decoder(_Named).decode


def _attribution(value: bytes | None) -> tuple[str, str]:
    """Organization and id of a broken event, as far as they can be read ('' where not)."""
    if not value or len(value) > MAX_EVENT_BYTES:
        return "", ""
    try:
        named = _decode_named(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    org, event = named.org_id, named.event_id
    return (
        org if isinstance(org, str) and len(org) <= MAX_ORG_CHARACTERS else "",
        event if isinstance(event, str) and len(event) <= MAX_EVENT_ID_CHARACTERS else "",
    )
