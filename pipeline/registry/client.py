"""Asks a schema registry for schemas, with all that they refer to."""

import base64
import binascii
from typing import Final, NoReturn, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from pipeline.core.envelope.frames import SchemaKey
from pipeline.core.refusal import excerpt
from pipeline.registry.errors import Away, NotThere, Refuses, Unusable, quoted
from pipeline.registry.exchange import OK, Answer, Limits, ask
from pipeline.registry.schema import Schema, SchemaKind
from schemas.registry_access import (
    PASSWORD_SETTING,
    TOKEN_SETTING,
    URL_SETTING,
    USER_SETTING,
    Access,
)

MOST_REFERENCES: Final = 50
MOST_LEVELS: Final = 8

_REDIRECTS = range(300, 400)
_PASSING = {408, 425, 429, *range(500, 600)} - {501}
_NOT_FOUND_CODES = range(40401, 40500)
"""A registry's own codes for a schema, subject or version that it does not have; 404 alone is anybody's."""
_PROTOBUF: Final = SchemaKind.PROTOBUF
_SERIALIZED: Final = "format=serialized"
_TYPES = "/schemas/types"
_OTHER_PATH = f"check {URL_SETTING}, with its path (Apicurio's is /apis/ccompat/v7)"
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

_T = TypeVar("_T")


class Reference(msgspec.Struct, frozen=True):
    """A schema that another one imports by a name."""

    name: str
    subject: str
    version: int


class _Registered(msgspec.Struct):
    """A schema as the registry answers it."""

    schema: str
    schemaType: str | None = None
    references: list[Reference] | None = None


class _Error(msgspec.Struct):
    error_code: int = 0
    message: str = ""


class Client:
    """Asks one schema registry. Any thread may, and blocks until it is answered; nothing is cached or repeated.

    All methods raise RegistryError, which says by its class how to go on.
    """

    def __init__(self, access: Access, limits: Limits | None = None) -> None:
        self._access, self._limits = access, limits or Limits()

    def fetch(self, key: SchemaKey) -> Schema:
        """The schema of a number or a GUID, by one request or two, and as many for each reference."""
        what, path = f"schema {key}", f"/schemas/guids/{quote(key)}" if isinstance(key, str) else f"/schemas/ids/{key}"
        registered = self._registered(path, what)
        kind = _kind(registered, what)
        text = self._descriptor(registered, f"{path}?{_SERIALIZED}", what) if kind is _PROTOBUF else registered.schema
        walk = _References(self, kind, what)
        walk.add(registered.references or [], ())
        return Schema(kind, text, tuple(walk.texts.items()))

    def check(self) -> None:
        """Return if a schema registry answers to these credentials."""
        answer = self._answer(_TYPES)
        if answer.status != OK:
            why = f"{self._access.name} is none: it answers {answer.status} to GET {_TYPES}"
            raise Refuses(why, _OTHER_PATH)
        self._read(answer, _TYPES, list[str])

    def referred(self, reference: Reference, kind: SchemaKind, what: str) -> tuple[str, list[Reference]]:
        """The text of a schema that ``what`` refers to, and the references that it has itself."""
        subject = quote(reference.subject, safe="")
        # Deleted ones as well, as the registry's own clients do: what refers to them is still in use.
        path = f"/subjects/{subject}/versions/{reference.version}?deleted=true"
        name = f"{quoted(self._access, reference.name)} (a reference of {what})"
        registered = self._registered(path, name)
        text = self._descriptor(registered, f"{path}&{_SERIALIZED}", name) if kind is _PROTOBUF else registered.schema
        return text, registered.references or []

    def _descriptor(self, registered: _Registered, serialized_path: str, what: str) -> str:
        """Base64 of a file's descriptor: as it was registered, or as the registry makes it of the file's text.

        Some registries make it of text alone, and fail where it is what they have.
        """
        if _is_base64(registered.schema):
            return registered.schema
        serialized = self._registered(serialized_path, what).schema
        if _is_base64(serialized):
            return serialized
        why = f"{what} is of Protobuf, and the registry does not answer it with {_SERIALIZED}"
        raise Unusable(why, "use a registry that does, or register descriptors")

    def _registered(self, path: str, what: str) -> _Registered:
        answer = self._answer(path)
        if answer.status == OK and answer.body is None and "json" in answer.media_type.lower():
            why = f"{what} is larger than {self._limits.answer_bytes >> 10} KiB at {self._access.name}"
            raise Unusable(why, "register a smaller one")
        if answer.status == OK:
            return self._read(answer, path, _Registered)
        error = _error(answer)
        if answer.status != 404 or error.error_code not in _NOT_FOUND_CODES:
            # Is it about this schema, or no registry at all? A wrong path must not make every record a dead letter.
            self.check()
        if answer.status == 404:
            raise NotThere(
                f"{self._access.name} has no {what} (404)",
                f"register it there, or check that {URL_SETTING} is the registry of the producers",
            )
        why = f"{self._access.name} answers {answer.status} for {what}{self._said(error)}"
        raise Unusable(why, "ask whoever runs the registry why; it answers other questions")

    def _answer(self, path: str) -> Answer:
        """An answer about what was asked. Raises Away and Refuses for those that are about the registry."""
        answer = ask(self._access, path, self._limits)
        said = f"{self._access.name} answers {answer.status}"
        if answer.status in _REDIRECTS:
            to = quoted(self._access, _without_secrets(answer.location))
            why = f"{said}, a redirect to {to}, which is not followed"
            raise Refuses(why, f"set {URL_SETTING} to where the registry itself answers")
        if answer.status in (401, 403):
            raise Refuses(said + self._said(_error(answer)), self._other_credentials(answer.status))
        if answer.status in _PASSING:
            raise Away(said + self._said(_error(answer)), "it is asked again")
        return answer

    def _read(self, answer: Answer, path: str, shape: type[_T]) -> _T:
        if answer.encoding.lower() not in ("", "identity"):
            self._refuse(path, f"is compressed ({quoted(self._access, answer.encoding)}), which was not asked for")
        if answer.body is None:
            self._refuse(path, f"is larger than {self._limits.answer_bytes >> 10} KiB, and not said to be JSON")
        try:
            return msgspec.json.decode(answer.body, type=shape)
        except msgspec.ValidationError as error:
            self._refuse(path, f"is no schema registry's: {quoted(self._access, str(error))}")
        except _UNREADABLE as error:
            if answer.body and "truncated" in str(error):
                raise Away(f"{self._access.name} breaks off its answers", "it is asked again") from None
            self._refuse(
                path, f"is not JSON, and begins with {quoted(self._access, answer.body[:200].decode('latin1'))}"
            )

    def _refuse(self, path: str, fault: str) -> NoReturn:
        where = f"the answer of {self._access.name} to GET {quoted(self._access, path)}"
        raise Refuses(f"{where} {fault}", _OTHER_PATH) from None

    def _other_credentials(self, status: int) -> str:
        if status == 403:
            return "give these credentials the right to read every schema of the registry"
        if self._access.token:
            return f"check {TOKEN_SETTING}"
        if self._access.user:
            return f"check {USER_SETTING} and {PASSWORD_SETTING}"
        return f"set {USER_SETTING} and {PASSWORD_SETTING}, or {TOKEN_SETTING}"

    def _said(self, error: _Error) -> str:
        return f": {quoted(self._access, error.message)}" if error.message else ""


class _References:
    """The schemas that one refers to, directly or not: by name, since that is how they import each other.

    Of two with one name the first counts, depth first, as in the registry's own clients.
    """

    def __init__(self, client: Client, kind: SchemaKind, what: str) -> None:
        self.texts: dict[str, str] = {}
        self._client, self._kind, self._what = client, kind, what
        self._asked = 0

    def add(self, references: list[Reference], path: tuple[Reference, ...]) -> None:
        """Ask for these and theirs. Raises Unusable for a cycle, and for too many or too deep ones."""
        for reference in references:
            if any(_is_same(reference, other) for other in path):
                raise Unusable(f"{self._what} refers to itself in a circle", "register schemas without the circle")
            if reference.name in self.texts:
                continue
            if len(path) == MOST_LEVELS or self._asked == MOST_REFERENCES:
                why = f"{self._what} refers to more than {MOST_REFERENCES} others, or through more than {MOST_LEVELS}"
                raise Unusable(why, "register a schema that holds more of them itself")
            self._asked += 1
            text, its = self._client.referred(reference, self._kind, self._what)
            self.add(its, (*path, reference))
            self.texts[reference.name] = text


def _is_same(one: Reference, other: Reference) -> bool:
    return one.name == other.name or (one.subject, one.version) == (other.subject, other.version)


def _kind(registered: _Registered, what: str) -> SchemaKind:
    name = registered.schemaType or SchemaKind.AVRO
    if name not in list(SchemaKind):
        raise Unusable(f"{what} is of the kind {excerpt(name)}", f"register one of {', '.join(SchemaKind)}")
    return SchemaKind(name)


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def _error(answer: Answer) -> _Error:
    try:
        return msgspec.json.decode(answer.body or b"", type=_Error)
    except _UNREADABLE:
        return _Error()


def _without_secrets(location: str) -> str:
    """The target of a redirect without user, password and query."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "somewhere else"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
