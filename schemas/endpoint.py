"""The address of ClickHouse with all that a connection needs, as one value that every process hands on."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A ClickHouse to connect to. Prints itself without user, password or key.

    ``password`` is used where the URL has none. The files are for https: the authorities to trust ('' : the system's),
    and a client certificate with its key, which is the credential where there is no password. ``cluster`` is the name
    of the cluster that the tables are spread over, '' for one server.
    """

    url: str = field(repr=False)
    password: str = field(default="", repr=False)
    cafile: str = ""
    certfile: str = ""
    keyfile: str = ""
    cluster: str = ""

    @classmethod
    def of(cls, target: "str | Endpoint") -> "Endpoint":
        """A bare URL is an endpoint without anything else."""
        return cls(target) if isinstance(target, str) else target

    @property
    def is_embedded(self) -> bool:
        """True for the embedded engine (chdb:///path)."""
        return urlsplit(self.url).scheme == "chdb"
