"""From a record to the event in it, through whatever stands around it; or to why there is none, and whose it was."""

from typing import NamedTuple

from pipeline.core.envelope.cloudevents import fill
from pipeline.core.envelope.frames import Readers
from pipeline.core.envelope.layers import Content, Envelope, Layer, Record, Spelling, content_of, next_envelope
from pipeline.core.event import REQUIRED, Event, decode_event
from pipeline.core.exact import FieldError
from pipeline.core.lenient import AROUND_BYTES, AROUND_HALVES, NOBODY, Named, agreed, may_be_unreadable, named_in
from pipeline.core.records import RawHeaders, headers_of
from pipeline.core.refusal import explain
from schemas.message_event import MAX_RECORD_BYTES, DeadLetterReason


class NoEvent(Exception):
    """A record is no event: the reason, a sentence, and what can be told of the event all the same."""

    def __init__(self, reason: DeadLetterReason, detail: str, named: Named) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.named = reason, detail, named


class Opened(NamedTuple):
    """The event of a record, and what stood around it, the outermost first."""

    event: Event
    around: tuple[Envelope, ...]


class _Found(NamedTuple):
    """The event in a value; or why there is none, with the text that comes nearest to one, and what is around that."""

    outcome: Event | Exception
    nearest: bytes
    around: tuple[Envelope, ...]


def decode_record(value: bytes | None, headers: RawHeaders, readers: Readers | None) -> Event:
    """The event of a record, whatever stands around it; ``readers`` is None where there is no registry.

    Raises NoEvent.
    """
    return open_record(value, headers, readers).event


def open_record(value: bytes | None, headers: RawHeaders, readers: Readers | None) -> Opened:
    """The same, with what stands around it."""
    if not value or len(value) > MAX_RECORD_BYTES:
        return _open_nothing(value)
    record = Record(headers_of(headers), readers)
    found = _open(value, record, _as_it_is)
    is_odd = isinstance(found.outcome, Exception) and may_be_unreadable(value)
    if is_odd:
        found = _around_halves(found, *(_open(value, record, spelling) for spelling in AROUND_HALVES))
    if isinstance(found.outcome, Exception):
        reason, why = explain(found.outcome, found.nearest)
        detail = f"{', '.join(found.around)}: {why}" if found.around else why
        one, other = (
            spelling(_open(value, record, spelling).nearest if is_odd else found.nearest) for spelling in AROUND_BYTES
        )
        raise NoEvent(reason, detail, named_in(one, other))
    return Opened(found.outcome, found.around)


def _open_nothing(value: bytes | None) -> Opened:
    """Refuse what is empty, or too large to be looked into."""
    try:
        return Opened(decode_event(value), ())
    except Exception as error:
        raise NoEvent(*explain(error, value), NOBODY) from None


def _as_it_is(text: bytes) -> bytes:
    return text


def _outcome(text: bytes) -> Event | Exception:
    """The event that a text is; or the error."""
    try:
        return decode_event(text)
    except Exception as error:
        return error


def _open(value: bytes, record: Record, spelling: Spelling) -> _Found:
    """Open one envelope after the other, until there is an event in it or no further one."""
    layer = Layer(value)
    while True:
        nearest, around = layer.value, layer.around
        try:
            content = content_of(layer, record.headers, spelling)
            nearest, outcome = _tried(layer, content)
            if isinstance(outcome, tuple):
                return _Found(outcome, nearest, around)
            if (found := next_envelope(layer, content, record)) is None:
                return _Found(outcome or _outcome(nearest), nearest, around)
            around = (*around, found.envelope)
            layer = found.open()
        except Exception as error:
            return _Found(layer.refusal or error, nearest, around)


def _tried(layer: Layer, content: Content) -> tuple[bytes, Event | Exception | None]:
    """A layer taken for an event, with what attributes add to it: the text, and what comes of it.

    None for one that lacks a field: it may be an envelope, and to find out what exactly is wrong costs most.
    """
    text = content.text
    try:
        if layer.attributes is not None:
            text = fill(text, content.fields, layer.attributes)
        if layer.refusal is not None:
            return text, layer.refusal
        if text is content.text and not content.fields.keys() >= REQUIRED:
            return text, None
        return text, decode_event(text)
    except Exception as error:
        return text, layer.refusal or error


def _around_halves(opened: _Found, one: _Found, other: _Found) -> _Found:
    """The event, if all that is wrong are halves of surrogate pairs in texts that are ignored; else what is wrong."""
    if isinstance(one.outcome, Exception) or isinstance(other.outcome, Exception):
        return one if len(one.around) > len(opened.around) else opened
    try:
        return _Found((agreed(one.outcome[0], other.outcome[0]), *one.outcome[1:]), one.nearest, one.around)
    except FieldError as half:
        return _Found(half, one.nearest, one.around)
