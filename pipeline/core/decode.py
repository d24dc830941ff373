"""From the bytes of a record to a row of facts, or to a dead letter that says why not. Pure: time is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from pipeline.core.envelope.frames import Readers
from pipeline.core.envelope.layers import Envelope
from pipeline.core.event import decode_event
from pipeline.core.exact import LATEST_MS, FieldError
from pipeline.core.opening import NoEvent, open_record
from pipeline.core.place import Place
from pipeline.core.records import NO_TIMES, Columns, DeadLetter, RawRecord, Told, pairs_of, time_of
from pipeline.core.refusal import Refused, excerpt
from pipeline.core.shortcuts import Decode, Shortcuts
from schemas.grain import MS_PER_SECOND
from schemas.instant import rfc3339, second
from schemas.message_event import (
    CHARGED,
    LAST_YEAR,
    MAX_EVENT_ID_CHARACTERS,
    MAX_ORG_CHARACTERS,
    TYPE_CODES,
    TYPES,
    DeadLetterReason,
)

_VALID: Final = {"event_id": "e", "type": TYPES[0], "org_id": "o", "channel": "c"}
"""An event but for its time."""


@dataclass(slots=True)
class Decoded:
    """The dead letters of a batch, and its candidate: the largest min(occurred_at, record time) of its rows.

    Of charges it is their records' own time, and only in a batch without any other row.
    """

    letters: list[DeadLetter]
    candidate_ms: int | None


def decode_batch(
    place: Place,
    records: Sequence[RawRecord],
    now_ms: int,
    future_skew_ms: int,
    facts_floor_ms: int,
    into: Columns,
    readers: Readers | None = None,
) -> Decoded:
    """Append the rows of a batch to ``into``. Every record becomes exactly one row or one dead letter.

    A dead letter never feeds the candidate, so that a wrong time cannot move the watermark.
    """
    letters: list[DeadLetter] = []
    candidate_ms, charged_ms, latest_ms = -1, -1, now_ms + future_skew_ms
    add_org, add_id, add_type = into.org_id.append, into.event_id.append, into.type.append
    add_channel, add_code, add_cost = into.channel.append, into.error_code.append, into.cost_micros.append
    add_time, add_record, add_offset = into.occurred_ms.append, into.record_ms.append, into.offset.append
    before = len(into)
    around: tuple[Envelope, ...] = ()
    decode: Decode = decode_event
    shortcuts: Shortcuts | None = None
    for record in records:
        try:
            event, micros, occurred_ms = decode(record.value)
        except Exception:
            try:
                opened = open_record(record.value, record.headers, readers)
            except NoEvent as refusal:
                letters.append(_refused(place, record, refusal))
                continue
            event, micros, occurred_ms = opened.event
            if opened.around != around:  # the next is probably like it
                around = opened.around
                shortcuts = shortcuts or Shortcuts(records, readers)
                decode = shortcuts.behind(around)
        record_ms = record.timestamp
        is_early = occurred_ms > latest_ms
        if record_ms is None or not occurred_ms <= record_ms < LATEST_MS:  # rare: events precede their records
            record_ms = time_of(record_ms, occurred_ms)
            is_early = is_early or occurred_ms > record_ms + future_skew_ms
        if is_early:
            told = Told(event.org_id, event.event_id, event.type, occurred_ms)
            letters.append(untimely(place, record, DeadLetterReason.FUTURE_TIMESTAMP, future_skew_ms, told))
            continue
        if occurred_ms < facts_floor_ms:
            told = Told(event.org_id, event.event_id, event.type, occurred_ms)
            letters.append(untimely(place, record, DeadLetterReason.TOO_LATE, facts_floor_ms, told))
            continue
        add_org(event.org_id)
        add_id(event.event_id)
        kind = TYPE_CODES[event.type]
        add_type(kind)
        add_channel(event.channel)
        add_code(event.error_code or "")
        add_cost(micros)
        add_time(occurred_ms)
        add_record(record_ms)
        add_offset(record.offset)
        known_ms = occurred_ms if occurred_ms < record_ms else record_ms
        if kind == CHARGED:
            charged_ms = max(charged_ms, _known_by_charge(record, latest_ms))
        elif known_ms > candidate_ms:
            candidate_ms = known_ms
    into.place += [place] * (len(into) - before)
    known_ms = candidate_ms if candidate_ms >= 0 else charged_ms  # beside messages a charge tells nothing
    return Decoded(letters, known_ms if known_ms >= 0 else None)


def _known_by_charge(record: RawRecord, latest_ms: int) -> int:
    """The time up to which a charge says that its partition is read: its record's own, or -1 for none to believe.

    A charge is dated by its message, of hours ago. By that a topic of charges alone would hold `as_of` back for all.
    """
    sent = record.timestamp
    return sent if sent is not None and 0 <= sent <= latest_ms else -1


def untimely(place: Place, record: RawRecord, reason: DeadLetterReason, limit_ms: int, told: Told) -> DeadLetter:
    """A dead letter for a valid event whose time is the problem."""
    occurred_ms = told.occurred_ms or 0
    at = f"occurred_at {rfc3339(occurred_ms)}"
    if reason is DeadLetterReason.TOO_LATE:
        detail = f"{at} is before the time since which facts are kept; its bucket is final"
    else:
        detail = f"{at} is more than {limit_ms // MS_PER_SECOND} s after {_exceeded(record, occurred_ms - limit_ms)}"
    return _letter(place, record, reason, detail, told)


def _exceeded(record: RawRecord, earliest_ms: int) -> str:
    """The time that an event was held against: its record's own where that is early enough, else the clock's."""
    record_ms = time_of(record.timestamp, LATEST_MS)
    if record_ms < earliest_ms:
        return f"the record's own time, {second(record_ms // MS_PER_SECOND)}"
    return "the time at which it was read"


def _refused(place: Place, record: RawRecord, refusal: NoEvent) -> DeadLetter:
    """A dead letter for a broken event, with what its bytes tell all the same."""
    named, detail = refusal.named, refusal.detail
    org_id = named.org_id if len(named.org_id) <= MAX_ORG_CHARACTERS else ""
    event_id = named.event_id if len(named.event_id) <= MAX_EVENT_ID_CHARACTERS else ""
    kind = named.type if named.type in TYPE_CODES else ""
    if record.key and not org_id:  # a hint for people; as an organization it could make an erasure take other letters
        detail += f"; the record's key is {excerpt(record.key)}"
    told = Told(org_id, event_id, kind, _instant_ms(named.occurred_at))
    return _letter(place, record, refusal.reason, detail, told)


def _instant_ms(occurred_at: str) -> int | None:
    """The time of a broken event, as it would be that of a valid one; None where it breaks the rule itself."""
    try:
        return decode_event(msgspec.json.encode(_VALID | {"occurred_at": occurred_at}))[2]
    except (FieldError, Refused):
        return None


def _letter(place: Place, record: RawRecord, reason: DeadLetterReason, detail: str, told: Told) -> DeadLetter:
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
        record_ms=time_of(sent, told.occurred_ms or 0),
        key=record.key,
        value=record.value,
        headers=pairs_of(record.headers),
        org_id=told.org_id,
        event_id=told.event_id,
        type=told.type,
        occurred_ms=told.occurred_ms,
    )
