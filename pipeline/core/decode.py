"""From the bytes of a record to a row of facts, or to a dead letter that says why not. Pure: time is an argument."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from pipeline.core.exact import EARLIEST_MS, LATEST_MS, SECOND_CHARACTERS, Costs, FieldError, Seconds, Suffixes
from pipeline.core.lenient import decode_around_halves, texts_of
from pipeline.core.place import Place
from pipeline.core.records import NO_TIMES, Columns, DeadLetter, RawRecord, time_of
from pipeline.core.refusal import Refused, excerpt, explain
from schemas.grain import MS_PER_SECOND
from schemas.instant import second
from schemas.message_event import (
    CHANNEL_PATTERN,
    FAILED,
    FIELD_RULES,
    FIRST_YEAR,
    LAST_YEAR,
    MAX_EVENT_BYTES,
    MAX_EVENT_ID_CHARACTERS,
    MAX_ORG_CHARACTERS,
    OTHER_KEY,
    TYPE_CODES,
    TYPES,
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
            raise FieldError("channel", FIELD_RULES["channel"])
        if len(self) >= 10_000:
            self.clear()
        self[channel] = channel
        return channel


_YEARS: Final = f"must lie in the years {FIRST_YEAR} to {LAST_YEAR} (UTC)"
_ERROR_CODE: Final = f"must be left out on any type but message.failed, and never be {OTHER_KEY}"
_VALID: Final = {"event_id": "e", "type": TYPES[0], "org_id": "o", "channel": "c"}
"""An event but for its time."""

_decode = msgspec.json.Decoder(MessageEvent).decode
_channels, _costs, _seconds, _suffixes = _Channels(), Costs(), Seconds(), Suffixes()


def decode_event(value: bytes | None) -> tuple[MessageEvent, int, int]:
    """The event in a record's value, its cost in millionths of a cent and its time in epoch milliseconds.

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
        event = _decode(value)
    except msgspec.DecodeError as error:
        event = _decode_again(value, error)
    event.channel = _channels[event.channel]
    time = event.occurred_at
    occurred_ms = _seconds[time[:SECOND_CHARACTERS]] + _suffixes[time[SECOND_CHARACTERS:]]
    if not EARLIEST_MS <= occurred_ms < LATEST_MS:
        raise FieldError("occurred_at", _YEARS)
    if event.error_code is not None and (TYPE_CODES[event.type] != FAILED or event.error_code == OTHER_KEY):
        raise FieldError("error_code", _ERROR_CODE)
    return event, _costs[bytes(event.cost_cents)], occurred_ms


def _decode_again(value: bytes, error: msgspec.DecodeError) -> MessageEvent:
    """The event, if all that is wrong are halves of surrogate pairs in fields that are ignored; else raises."""
    event = None if isinstance(error, msgspec.ValidationError) else decode_around_halves(value)
    if event is None:
        raise error
    return event


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
    candidate_ms, latest_ms = -1, now_ms + future_skew_ms
    add_org, add_id, add_type = into.org_id.append, into.event_id.append, into.type.append
    add_channel, add_code, add_cost = into.channel.append, into.error_code.append, into.cost_micros.append
    add_time, add_record, add_offset = into.occurred_ms.append, into.record_ms.append, into.offset.append
    before = len(into)
    for record in records:
        try:
            event, micros, occurred_ms = decode_event(record.value)
        except Exception as error:
            letters.append(_refused(place, record, *explain(error, record.value)))
            continue
        record_ms = record.timestamp
        is_early = occurred_ms > latest_ms
        if record_ms is None or not occurred_ms <= record_ms < LATEST_MS:  # rare: events precede their records
            record_ms = time_of(record_ms, occurred_ms)
            is_early = is_early or occurred_ms > record_ms + future_skew_ms
        if is_early:
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


def letter_for(place: Place, record: RawRecord, reason: DeadLetterReason, limit_ms: int) -> DeadLetter:
    """A dead letter for a valid event whose time is the problem."""
    event, _, occurred_ms = decode_event(record.value)
    told = f"occurred_at {excerpt(event.occurred_at)}"
    if reason is DeadLetterReason.TOO_LATE:
        detail = f"{told} is before the time since which facts are kept; its bucket is final"
    else:
        detail = f"{told} is more than {limit_ms // MS_PER_SECOND} s after {_exceeded(record, occurred_ms - limit_ms)}"
    return _letter(place, record, reason, detail, event.org_id, event.event_id, event.type, occurred_ms)


def _exceeded(record: RawRecord, earliest_ms: int) -> str:
    """The time that an event was held against: its record's own where that is early enough, else the clock's."""
    record_ms = time_of(record.timestamp, LATEST_MS)
    if record_ms < earliest_ms:
        return f"the record's own time, {second(record_ms // MS_PER_SECOND)}"
    return "the time at which it was read"


def _refused(place: Place, record: RawRecord, reason: DeadLetterReason, detail: str) -> DeadLetter:
    """A dead letter for a broken event, with what its bytes tell all the same."""
    org_id, event_id, kind, occurred_at = texts_of(record.value)
    org_id = org_id if len(org_id) <= MAX_ORG_CHARACTERS else ""
    event_id = event_id if len(event_id) <= MAX_EVENT_ID_CHARACTERS else ""
    kind = kind if kind in TYPE_CODES else ""
    if record.key and not org_id:  # a hint for people; as an organization it could make an erasure take other letters
        detail += f"; the record's key is {excerpt(record.key)}"
    return _letter(place, record, reason, detail, org_id, event_id, kind, _instant_ms(occurred_at))


def _instant_ms(occurred_at: str) -> int | None:
    """The time of a broken event, as it would be that of a valid one; None where it breaks the rule itself."""
    try:
        return decode_event(msgspec.json.encode(_VALID | {"occurred_at": occurred_at}))[2]
    except (FieldError, Refused):
        return None


def _letter(
    place: Place,
    record: RawRecord,
    reason: DeadLetterReason,
    detail: str,
    org_id: str,
    event_id: str,
    kind: str,
    occurred_ms: int | None,
) -> DeadLetter:
    sent = record.timestamp
    if time_of(sent, LATEST_MS) == LATEST_MS and sent not in NO_TIMES:
        detail += (
            f"; the record's timestamp {sent} is not in milliseconds of the years 1970 to {LAST_YEAR}, and ignored"
        )
    return DeadLetter(
        place=place,
        offset=record.offset,
        reason=reason,
        detail=detail,
        record_ms=time_of(sent, occurred_ms or 0),
        key=record.key,
        value=record.value,
        headers=tuple((n.encode() if isinstance(n, str) else n, value) for n, value in record.headers),
        org_id=org_id,
        event_id=event_id,
        type=kind,
        occurred_ms=occurred_ms,
    )
