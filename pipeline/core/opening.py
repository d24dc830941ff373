"""From a record to the event in it, through whatever stands around it; or to why there is none, and whose it was."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.core.envelope import cloudevents
from pipeline.core.envelope.frames import Readers
from pipeline.core.envelope.layers import Envelope, Layer, Record, Spelling, next_envelope
from pipeline.core.event import Event, decode_event
from pipeline.core.exact import FieldError
from pipeline.core.lenient import AROUND_BYTES, AROUND_HALVES, NOBODY, Named, agreed, named_in
from pipeline.core.records import headers_of
from pipeline.core.refusal import explain
from schemas.message_event import MAX_RECORD_BYTES, DeadLetterReason

RecordHeaders = Sequence[tuple[str | bytes, bytes | None]]


class NoEvent(Exception):
    """A record is no event: the reason, a sentence, and what can be told of the event all the same."""

    def __init__(self, reason: DeadLetterReason, detail: str, named: Named) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.named = reason, detail, named


class _Opened(NamedTuple):
    """The event in a value; or why there is none, with the text that comes nearest to one, and what is around that."""

    outcome: Event | Exception
    nearest: bytes
    around: tuple[Envelope, ...]


def decode_record(value: bytes | None, headers: RecordHeaders, readers: Readers | None) -> Event:
    """The event of a record, whatever stands around it; ``readers`` is None where there is no registry.

    Raises NoEvent.
    """
    try:
        return decode_event(value)
    except Exception as none:
        error = none
    if not value or len(value) > MAX_RECORD_BYTES:
        raise NoEvent(*explain(error, value), NOBODY)
    record = Record(headers_of(headers), readers)
    opened = _open(value, error, record, _as_it_is)
    if isinstance(opened.outcome, Exception):
        opened = _around_halves(opened, *(_open(value, error, record, spelling) for spelling in AROUND_HALVES))
    if isinstance(opened.outcome, Exception):
        reason, why = explain(opened.outcome, opened.nearest)
        detail = f"{', '.join(opened.around)}: {why}" if opened.around else why
        one, other = (spelling(_open(value, error, record, spelling).nearest) for spelling in AROUND_BYTES)
        raise NoEvent(reason, detail, named_in(one, other))
    return opened.outcome


def _as_it_is(text: bytes) -> bytes:
    return text


def _open(value: bytes, error: Exception, record: Record, spelling: Spelling) -> _Opened:
    """Open one envelope after the other, until there is an event in it or no further one."""
    layer, opened = Layer(value), _Opened(error, value, ())
    while isinstance(opened.outcome, Exception) and layer.refusal is None:
        around = layer.around
        try:
            if (found := next_envelope(layer, record, spelling)) is None:
                break
            around = (*around, found.envelope)
            layer = found.open()
        except Exception as refusal:
            return _Opened(refusal, opened.nearest, around)
        opened = _tried(layer, spelling)
    return opened


def _tried(layer: Layer, spelling: Spelling) -> _Opened:
    """A layer taken for an event: as it is, and if that is none, with what attributes add to it."""
    text = layer.value
    try:
        text = spelling(text)
        return _Opened(layer.refusal or decode_event(text), text, layer.around)
    except Exception as error:
        outcome = error
    if layer.attributes is not None:
        try:
            text = cloudevents.fill(text, layer.attributes)
            return _Opened(decode_event(text), text, layer.around)
        except Exception as error:
            outcome = error
    return _Opened(outcome, text, layer.around)


def _around_halves(opened: _Opened, one: _Opened, other: _Opened) -> _Opened:
    """The event, if all that is wrong are halves of surrogate pairs in texts that are ignored; else what is wrong."""
    if isinstance(one.outcome, Exception) or isinstance(other.outcome, Exception):
        return one if len(one.around) > len(opened.around) else opened
    try:
        return _Opened((agreed(one.outcome[0], other.outcome[0]), *one.outcome[1:]), one.nearest, one.around)
    except FieldError as half:
        return _Opened(half, one.nearest, one.around)
