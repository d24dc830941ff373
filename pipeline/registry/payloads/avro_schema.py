"""Avro schemas: from their text to a tree of types, with every name resolved and every logical type checked.

A schema is refused where reading by it could take more than its payload gives: one that contains itself, or is nested
too deeply, could exhaust the stack; an array of items that take no bytes could have billions of them.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pipeline.core.refusal import excerpt
from pipeline.registry.payloads.refused import MAX_DEPTH, MAX_SCHEMA_CHARACTERS, PayloadRefused
from pipeline.registry.schema import Schema

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
UUID_BYTES: Final = 16

_LOGICAL_OF: Final = {
    "int": {"date", "time-millis"},
    "long": {
        "time-micros",
        *(f"{local}timestamp-{unit}" for local in ("", "local-") for unit in ("millis", "micros", "nanos")),
    },
    "string": {"uuid"},
}


@dataclass(frozen=True, slots=True, eq=False)
class AvroType:
    """One type, with all types in it. ``name`` is its full name, if it has one.

    ``children`` are a record's fields', a union's branches, an array's items or a map's values.
    """

    kind: str
    name: str = ""
    logical: str = ""
    size: int = 0
    precision: int = 0
    scale: int = 0
    symbols: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    children: tuple["AvroType", ...] = ()
    height: int = 1

    @property
    def told(self) -> str:
        """The type as a sentence names it."""
        return self.logical or (f"{self.kind} {excerpt(self.name)}" if self.name else self.kind)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A schema's type, and which of its types take no bytes."""

    root: AvroType
    empty: frozenset[AvroType]


def parse_schema(schema: Schema) -> Parsed:
    """Parse a schema and its references, in names of their own. Raises PayloadRefused."""
    if len(schema.text) + sum(len(text) for _, text in schema.references) > MAX_SCHEMA_CHARACTERS:
        raise PayloadRefused(f"the schema has more than {MAX_SCHEMA_CHARACTERS} characters")
    names = _Names()
    for _, text in schema.references:
        names.parse(_json(text), "", 1)
    return Parsed(names.parse(_json(schema.text), "", 1), frozenset(names.empty))


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise PayloadRefused(f"the Avro schema is not JSON: {error}") from None


def _bad(told: str) -> PayloadRefused:
    return PayloadRefused(f"the Avro schema has {told}")


class _Names:
    """The named types of one schema, as far as they have been read."""

    def __init__(self) -> None:
        self._known: dict[str, AvroType | None] = {}  # None while a type's definition is being read
        self.empty: set[AvroType] = set()
        self._looked_at: set[AvroType] = set()

    def parse(self, spec: Any, namespace: str, level: int) -> AvroType:
        if level > MAX_DEPTH:
            raise _bad(f"types nested more than {MAX_DEPTH} levels deep")
        found = self._parse(spec, namespace, level + 1)
        if found.height > MAX_DEPTH:
            raise _bad(f"types nested more than {MAX_DEPTH} levels deep")
        if found not in self._looked_at:
            self._looked_at.add(found)
            if self._takes_no_bytes(found):
                self.empty.add(found)
        return found

    def _takes_no_bytes(self, found: AvroType) -> bool:
        match found.kind:
            case "null":
                return True
            case "fixed":
                return found.size == 0
            case "record":
                return self.empty.issuperset(found.children)
        return False

    def _parse(self, spec: Any, namespace: str, level: int) -> AvroType:
        if isinstance(spec, str):
            return AvroType(spec) if spec in PRIMITIVES else self._resolve(spec, namespace)
        if isinstance(spec, list):
            return self._union(spec, namespace, level)
        kind = spec.get("type") if isinstance(spec, dict) else None
        match kind:
            case "record" | "error":
                return self._record(spec, namespace, level)
            case "enum" | "fixed":
                return self._symbolic(spec, namespace)
            case "array":
                return self._array(self.parse(spec.get("items"), namespace, level))
            case "map":
                return _parent("map", (self.parse(spec.get("values"), namespace, level),))
            case str() if kind in PRIMITIVES:
                return _with_logical(AvroType(kind), spec)
            case str() | dict() | list():
                return self.parse(kind, namespace, level)
        raise _bad(f"{excerpt(repr(spec))} where a type is expected")

    def _resolve(self, name: str, namespace: str) -> AvroType:
        full = f"{namespace}.{name}" if namespace and "." not in name else name
        full = full if full in self._known else name
        if full not in self._known:
            raise _bad(f"the name {excerpt(name)}, which neither it nor its references define")
        found = self._known[full]
        if found is None:
            raise _bad(f"the recursive type {excerpt(full)}; a type that contains itself is not read")
        return found

    def _define(self, spec: dict[str, Any], namespace: str) -> str:
        """Take the full name of a definition, which no other may have."""
        name, space = spec.get("name"), spec.get("namespace", namespace)
        if not (isinstance(name, str) and name and isinstance(space, str)):
            raise _bad(f"a type {excerpt(str(spec['type']))} without a name")
        full = f"{space}.{name}" if space and "." not in name else name
        if full in self._known or full in PRIMITIVES:
            raise _bad(f"two types of the name {excerpt(full)}")
        self._known[full] = None
        return full

    def _record(self, spec: dict[str, Any], namespace: str, level: int) -> AvroType:
        full = self._define(spec, namespace)
        fields = spec.get("fields")
        if not (
            isinstance(fields, list) and all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in fields)
        ):
            raise _bad(f"the record {excerpt(full)} without a list of named fields")
        names = tuple(f["name"] for f in fields)
        if len(set(names)) < len(names):
            raise _bad(f"the record {excerpt(full)} with two fields of one name")
        children = tuple(self.parse(f.get("type"), full.rpartition(".")[0], level) for f in fields)
        found = self._known[full] = _parent("record", children, full, names)
        return found

    def _symbolic(self, spec: dict[str, Any], namespace: str) -> AvroType:
        full = self._define(spec, namespace)
        if spec["type"] == "fixed":
            found = _fixed(spec, full)
        else:
            symbols = spec.get("symbols")
            if not (isinstance(symbols, list) and all(isinstance(symbol, str) for symbol in symbols)):
                raise _bad(f"the enum {excerpt(full)} without a list of symbols")
            found = AvroType("enum", full, symbols=tuple(symbols))
        self._known[full] = found
        return found

    def _union(self, spec: list[Any], namespace: str, level: int) -> AvroType:
        branches = tuple(self.parse(branch, namespace, level) for branch in spec)
        if any(branch.kind == "union" for branch in branches):
            raise _bad("a union directly in a union")
        if len({branch.name or branch.kind for branch in branches}) < len(branches):
            raise _bad("a union with two branches of one type")
        return _parent("union", branches)

    def _array(self, items: AvroType) -> AvroType:
        if items in self.empty:
            raise _bad(f"an array of {items.told}, which takes no bytes: a few bytes could claim billions of them")
        return _parent("array", (items,))


def _parent(kind: str, children: tuple[AvroType, ...], name: str = "", fields: tuple[str, ...] = ()) -> AvroType:
    height = 1 + max((child.height for child in children), default=0)
    return AvroType(kind, name, fields=fields, children=children, height=height)


def _fixed(spec: dict[str, Any], full: str) -> AvroType:
    size = spec.get("size")
    if type(size) is not int or size < 0:
        raise _bad(f"the fixed {excerpt(full)} without a size")
    return _with_logical(AvroType("fixed", full, size=size), spec)


def _with_logical(plain: AvroType, spec: dict[str, Any]) -> AvroType:
    """The type with its logical type. One that is unknown or does not fit is ignored, as Avro has it."""
    logical = spec.get("logicalType")
    if not isinstance(logical, str):
        return plain
    if logical == "decimal" and plain.kind in ("bytes", "fixed"):
        return _decimal(plain, spec.get("precision"), spec.get("scale", 0))
    is_uuid = logical == "uuid" and plain.kind == "fixed" and plain.size == UUID_BYTES
    if is_uuid or logical in _LOGICAL_OF.get(plain.kind, ()):
        return AvroType(plain.kind, plain.name, logical, plain.size)
    return plain


def _decimal(plain: AvroType, precision: object, scale: object) -> AvroType:
    if type(precision) is int and type(scale) is int and precision > 0 and 0 <= scale <= precision:
        return AvroType(plain.kind, plain.name, "decimal", plain.size, precision, scale)
    return plain
