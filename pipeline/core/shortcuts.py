"""Short ways to the events in the commonest envelopes, for records that come behind one of their kind.

A shortcut has the outcome of the general way (``pipeline/core/opening.py``) or raises, whatever the record is; so its
record is then decoded the general way. It saves most of the cost, which is that of finding out what a record is.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal

import msgspec

from pipeline.core.envelope.frames import ID_HEADER, MAGIC, Readers, unframed
from pipeline.core.envelope.layers import Envelope, object_in_string
from pipeline.core.event import Event, decode_event
from pipeline.core.records import RawRecord
from schemas.message_event import MessageEvent

Decode = Callable[[bytes | None], Event]


class _NoShortcut(Exception):
    """A record is of another kind."""


class _CloudEvent(msgspec.Struct, gc=False):
    """A CloudEvent whose data is a whole event. What has an organization itself may only look like one."""

    specversion: Literal["1.0"]
    data: MessageEvent
    org_id: msgspec.UnsetType = msgspec.UNSET


_OF_NO_OBJECTS: Final = ((Envelope.FRAME,), (Envelope.STRING,))
_cloud_event = msgspec.json.Decoder(_CloudEvent).decode


class Shortcuts:
    """The short ways for the records of one batch, whose envelopes may change with every record."""

    def __init__(self, records: Sequence[RawRecord], readers: Readers | None) -> None:
        self._records = records
        self._names_schemas: bool | None = None
        self._ways: dict[tuple[Envelope, ...], Decode] = {
            (): decode_event,
            (Envelope.STRUCTURED,): _of_cloud_event,
            (Envelope.FRAME,): partial(_of_frame, readers),
            (Envelope.STRING,): _of_string,
        }

    def behind(self, around: tuple[Envelope, ...]) -> Decode:
        """The way to try first for a record that comes behind one with these envelopes around its event."""
        if around in _OF_NO_OBJECTS and self._some_name_a_schema():
            return _none  # the header decides, and a shortcut sees the value alone
        return self._ways.get(around, _none)

    def _some_name_a_schema(self) -> bool:
        """Looked up once for all records: where envelopes alternate, each change would look at all of them again."""
        if self._names_schemas is None:
            self._names_schemas = any(_names_a_schema(record) for record in self._records)
        return self._names_schemas


def _names_a_schema(record: RawRecord) -> bool:
    return any(name in _NAMES for name, _ in record.headers)


_NAMES: Final = {ID_HEADER, ID_HEADER.decode()}


def _none(_: bytes | None) -> Event:
    raise _NoShortcut


def _of_cloud_event(value: bytes | None) -> Event:
    return decode_event(value, _data_of)


def _data_of(value: bytes) -> MessageEvent:
    return _cloud_event(value).data


def _of_frame(readers: Readers | None, value: bytes | None) -> Event:
    if not value or not value.startswith(MAGIC):
        raise _NoShortcut
    return decode_event(unframed(value, {}, readers))


def _of_string(value: bytes | None) -> Event:
    if not value or not value.startswith(b'"'):
        raise _NoShortcut
    return decode_event(object_in_string(value))
