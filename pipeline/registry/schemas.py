"""The schemas of a registry as the core asks for them: a reader for each that is decided, and why others lack."""

from collections.abc import Callable, Collection

from pipeline.core.envelope.frames import Looked, Reader, SchemaKey
from pipeline.errors import Stop
from pipeline.registry.client import Client
from pipeline.registry.errors import NotThere, Refuses, RegistryError, Unusable
from pipeline.registry.payloads.readers import reader_of
from pipeline.registry.payloads.refused import refusing
from pipeline.registry.resolver import Resolver
from pipeline.registry.schema import Schema
from schemas.message_event import DeadLetterReason
from schemas.registry_access import TOKEN_SETTING, URL_SETTING, Access
from schemas.settings import Settings
from schemas.token_file import TokenError


class RegistrySchemas:
    """Readers for what one registry describes. ``access`` is asked anew for every schema, since tokens change.

    A schema that the registry does not give has a reader too, which refuses.
    """

    def __init__(self, access: Callable[[], Access], monotonic: Callable[[], float]) -> None:
        self._access = access
        self._resolver: Resolver[Reader] = Resolver(self._fetch, reader_of, monotonic)

    def look(self, keys: Collection[SchemaKey]) -> Looked:
        """Look up schemas without waiting; what is missing is asked for from now on. For any thread."""
        found = self._resolver.look(keys)
        return Looked({**found.readers, **{key: _refusing(x) for key, x in found.verdicts.items()}}, found.missing)

    def ask(self, key: SchemaKey) -> Reader:
        """The reader of a schema, asked for now. Blocks; raises Away or Refuses. For commands, which cannot wait."""
        try:
            return reader_of(self._fetch(key))
        except (NotThere, Unusable) as verdict:
            return _refusing(verdict)

    def check(self) -> None:
        """Return if a schema registry answers to these credentials. Blocks; raises RegistryError."""
        self._client().check()

    def _fetch(self, key: SchemaKey) -> Schema:
        return self._client().fetch(key)

    def _client(self) -> Client:
        """A client with the credentials of this moment. Raises Refuses where they cannot be read."""
        try:
            return Client(self._access())
        except TokenError as error:
            raise Refuses(str(error), f"check {TOKEN_SETTING}") from None


def open_schemas(settings: Settings, monotonic: Callable[[], float]) -> RegistrySchemas | None:
    """The schemas of the registry that is set, if one is. Raises Stop where what reads them is not installed."""
    if not settings.schema_registry_url:
        return None
    try:
        import google.protobuf  # noqa: F401
    except ImportError:
        sentence = f"{URL_SETTING} needs the extra `registry`; install it: pip install 'message-metrics[registry]'"
        raise Stop(sentence) from None

    def access() -> Access:
        found = settings.schema_registry
        assert found is not None
        return found

    return RegistrySchemas(access, monotonic)


def _refusing(verdict: RegistryError) -> Reader:
    """A reader for a schema that the registry does not give: another reading may have it."""
    return refusing(str(verdict), DeadLetterReason.UNKNOWN_SCHEMA)
