"""The address of ClickHouse with all that a connection needs, as one value that every process hands on."""

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

URL_RULE = (
    "must be http(s)://user:password@host:port/database or chdb:///absolute/path; user and password are "
    "percent-encoded (/ is %2F, ? is %3F, # is %23, @ is %40, [ is %5B, ] is %5D, % is %25), or the password is a "
    "setting of its own"
)
_DATABASE = re.compile(r"/?[^/@]*/?")


def split_url(url: str) -> SplitResult:
    """The parts of ClickHouse's URL. Raises ValueError with the rule where a password could be taken for another part.

    An unencoded ``/`` of a password ends the host, and what follows would be the port or the database, which errors
    and logs show. The library's own errors quote the URL, so none of them is passed on.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        raise ValueError(URL_RULE) from None
    is_plain = url.isprintable() and not re.search(r"[ ?#]|[\[\]].*@", url)  # tabs would be left out
    is_embedded = parts.scheme == "chdb" and not parts.netloc and parts.path.startswith("/")
    is_served = parts.scheme in ("http", "https") and parts.hostname and _DATABASE.fullmatch(parts.path)
    if is_embedded or (is_served and is_plain):
        return parts
    raise ValueError(URL_RULE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A ClickHouse to connect to. Prints itself without user, password or key. Raises ValueError as `split_url` does.

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

    def __post_init__(self) -> None:
        split_url(self.url)

    @classmethod
    def of(cls, target: "str | Endpoint") -> "Endpoint":
        """A bare URL is an endpoint without anything else."""
        return cls(target) if isinstance(target, str) else target

    @property
    def is_embedded(self) -> bool:
        """True for the embedded engine (chdb:///path)."""
        return urlsplit(self.url).scheme == "chdb"
