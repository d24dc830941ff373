"""Kafka Connect's JsonConverter with schemas: an object with exactly ``schema`` and ``payload``.

The schema is read, since some of its types come as other numbers or texts than they look like: a decimal is the base64
of its digits, which may itself look like a decimal.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.core.exact import FieldError
from pipeline.core.json_text import fields_in
from pipeline.core.refusal import excerpt
from schemas.message_event import FIELD_RULES, MAX_EVENT_BYTES

KEYS: Final = {"schema", "payload"}
MOST_SCHEMAS: Final = 100
NUMBERS: Final = b"-0123456789"
NESTED: Final = "data"
"""The field with the event in a CloudEvent that is a payload."""

_DECIMAL: Final = "org.apache.kafka.connect.data.Decimal"
_INTEGERS: Final = ("int8", "int16", "int32", "int64")
_any = msgspec.json.Decoder().decode


class Doubt(NamedTuple):
    """The rule that a field breaks by its schema unless it is null; or a JSON number, where that is exact."""

    rule: str
    is_fine_as_number: bool = False


Path = tuple[str, ...]
Doubts = Mapping[Path, Doubt]
"""By the field's place in the payload."""


class _Doubts(dict[bytes, Doubts]):
    """Doubts by schema. It stands in every record, and in very many is the same."""

    def __missing__(self, schema: bytes) -> Doubts:
        try:
            doubts = dict(_doubts(_any(schema), ()))
        except (msgspec.DecodeError, RecursionError):  # such as numbers that are none of JSON's, or too deep
            doubts = {}
        if len(schema) <= MAX_EVENT_BYTES:
            if len(self) >= MOST_SCHEMAS:
                self.clear()
            self[schema] = doubts
        return doubts


_known = _Doubts()


def doubtful(payload: bytes, schema: bytes) -> FieldError | None:
    """The error of a payload with a field of which its schema says that it is not what it looks like."""
    doubts = _known[schema]
    if not doubts or not payload.startswith(b"{"):
        return None
    fields = fields_in(payload)
    nested = bytes(fields.get(NESTED, b"null"))
    of_data = fields_in(nested) if nested.startswith(b"{") else {}
    for path, doubt in doubts.items():
        given = bytes((fields if len(path) == 1 else of_data).get(path[-1], b"null"))
        if given != b"null" and not (doubt.is_fine_as_number and given[:1] in NUMBERS):
            return FieldError(path[-1], doubt.rule)
    return None


def _doubts(schema: Any, path: Path) -> Iterator[tuple[Path, Doubt]]:
    fields = schema.get("fields") if isinstance(schema, dict) else None
    for field in fields if isinstance(fields, list) else ():
        if not isinstance(field, dict) or not isinstance(name := field.get("field"), str):
            continue
        if name == NESTED and not path:
            yield from _doubts(field, (name,))
        elif name in FIELD_RULES and (doubt := _doubt(name, field.get("type"), field.get("name"))):
            yield (*path, name), doubt


def _doubt(field: str, kind: Any, name: Any) -> Doubt | None:
    if kind == "bytes" and name == _DECIMAL:
        rule = "must be a JSON number, as the converter writes a decimal with decimal.format=NUMERIC"
        return Doubt(rule, is_fine_as_number=True)
    if kind == "bytes":
        return Doubt("must be a string, since bytes come as base64")
    if kind == "float":
        return Doubt("must be a string, a float64 or a decimal, since a float of 32 bits is not exact")
    if kind in _INTEGERS and field == "occurred_at":
        made = f"Connect's TimestampConverter makes of {excerpt(str(name or kind))}"
        return Doubt(f"{FIELD_RULES[field]}, which {made} (target.type=string, format=yyyy-MM-dd'T'HH:mm:ss.SSS'Z')")
    return None
