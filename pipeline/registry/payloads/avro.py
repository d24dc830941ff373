"""A reader for Avro: the writer's schema alone decides, without aliases, defaults or a schema of ours.

It is our own, since fastavro reads what no writer wrote: an enum's index of -1 as its last symbol, a number of 80 bits
as some other, a union's branch from the end; and by a type that contains itself a payload overflows the stack of C,
which ends the process. Fields that are not converted are skipped, not read, which makes it as fast.
"""

from typing import NoReturn

import msgspec

from pipeline.core.envelope.frames import Reader
from pipeline.core.exact import FieldError
from pipeline.registry.payloads import binary
from pipeline.registry.payloads.avro_schema import AvroType, parse_schema
from pipeline.registry.payloads.avro_values import REMEDIES, scalar_read
from pipeline.registry.payloads.binary import Read, Skip
from pipeline.registry.payloads.fields import DATA, EVENT_FIELDS, JsonValue, converted_fields, refuse_type
from pipeline.registry.payloads.refused import PayloadRefused
from pipeline.registry.schema import Schema

_SKIPS: dict[str, Skip] = {
    "boolean": binary.skip_boolean,
    "int": binary.skip_int,
    "long": binary.skip_long,
    "float": binary.fixed_skip(4),
    "double": binary.fixed_skip(8),
    "bytes": binary.skip_bytes,
    "string": binary.skip_bytes,
}


def avro_reader(schema: Schema) -> Reader:
    """A reader for payloads of the schema. Raises PayloadRefused for a schema that is not read."""
    parsed = parse_schema(schema)
    value_at = _Compiler(parsed.empty).root(parsed.root)
    encode = msgspec.json.Encoder().encode

    def read(payload: bytes) -> bytes:
        try:
            value, end = value_at(payload, 0)
        except IndexError:
            raise PayloadRefused(binary.CUT) from None
        except UnicodeDecodeError:
            raise PayloadRefused("the payload is a string that is not UTF-8") from None
        if end != len(payload):
            raise PayloadRefused(f"the payload has {len(payload) - end} bytes more than its schema describes")
        return encode(value)

    return read


class _Compiler:
    """Functions for the types of one schema. Each type is compiled once, however often it is named."""

    def __init__(self, empty: frozenset[AvroType]) -> None:
        self._empty = empty
        self._skips: dict[AvroType, Skip] = {}
        self._records: dict[tuple[AvroType, bool], Read] = {}

    def root(self, root: AvroType) -> Read:
        """The whole payload: a record, a string that is expected to hold JSON, or a union of such."""
        if root.kind == "record":
            return self._record(root)
        if root.kind == "string":
            return binary.read_string
        if root.kind == "union":
            return binary.chosen(tuple(self._branch(child) for child in root.children))
        raise PayloadRefused(f"the Avro schema must be a record, or a string that holds JSON, not {root.told}")

    def _branch(self, branch: AvroType) -> Read:
        """A type in a union that is the whole payload: one of several events in a topic, say."""
        try:
            return self.root(branch)
        except PayloadRefused as refusal:
            sentence = str(refusal)

            def refuse(_data: bytes, _at: int) -> NoReturn:
                raise PayloadRefused(sentence)

            return refuse

    def _record(self, record: AvroType, *, is_data: bool = False) -> Read:
        if (record, is_data) not in self._records:
            converted = EVENT_FIELDS if is_data else converted_fields(record.fields)
            self._records[record, is_data] = _record_read(self._steps(record, converted))
        return self._records[record, is_data]

    def _steps(self, record: AvroType, converted: frozenset[str]) -> list[tuple[str, Read]]:
        """The reads of the fields that are converted, by their names; all that is skipped between two has none."""
        steps: list[tuple[str, Read]] = []
        passed: list[Skip] = []
        for name, kind in zip(record.fields, record.children, strict=True):
            if name in converted:
                steps += [*_passing(passed), (name, self._value(kind, name))]
                passed = []
            else:
                passed.append(self._skip(kind))
        return steps + _passing(passed)

    def _value(self, kind: AvroType, field: str) -> Read:
        if kind.kind == "union":
            return binary.chosen(tuple(self._value(branch, field) for branch in kind.children))
        if kind.kind == "record" and field == DATA:
            return self._record(kind, is_data=True)
        return scalar_read(kind, field) or refuse_type(field, REMEDIES[field], kind.told)

    def _skip(self, kind: AvroType) -> Skip:
        if kind in self._empty:
            return binary.skip_nothing
        if kind not in self._skips:
            self._skips[kind] = self._new_skip(kind)
        return self._skips[kind]

    def _new_skip(self, kind: AvroType) -> Skip:
        if kind.kind == "enum":
            return binary.index_skip(len(kind.symbols))
        if kind.kind == "fixed":
            return binary.fixed_skip(kind.size)
        skips = tuple(self._skip(child) for child in kind.children)
        match kind.kind:
            case "union":
                return binary.chosen(skips)
            case "array":
                return binary.blocks_skip(*skips)
            case "map":
                return binary.blocks_skip(_sequence((binary.skip_bytes, *skips)))
            case "record":
                return _sequence(skips)
        return _SKIPS[kind.kind]


def _sequence(skips: tuple[Skip, ...]) -> Skip:
    """Skips after each other, without those of nothing: a few names can stand for billions of them."""
    return binary.sequence_skip(tuple(skip for skip in skips if skip is not binary.skip_nothing))


def _passing(passed: list[Skip]) -> list[tuple[str, Read]]:
    """A step without a name, for fields that are not converted; none for no fields."""
    if not passed:
        return []
    skip = _sequence(tuple(passed))
    return [("", lambda data, at: (None, skip(data, at)))]


def _record_read(steps: list[tuple[str, Read]]) -> Read:
    """The object of a record. Null is left out, as it means absent."""

    def read(data: bytes, at: int) -> tuple[JsonValue, int]:
        found: dict[str, JsonValue] = {}
        name = ""
        try:
            for name, value_at in steps:
                value, at = value_at(data, at)
                if value is not None:
                    found[name] = value
        except UnicodeDecodeError:
            raise FieldError(name, "must be text in UTF-8") from None
        return found, at

    return read
