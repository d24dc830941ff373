"""Access to a schema registry: its URL, and the credentials for nobody but it."""

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

URL_SETTING = "MSGMETRICS_SCHEMA_REGISTRY_URL"
USER_SETTING = "MSGMETRICS_SCHEMA_REGISTRY_USER"
PASSWORD_SETTING = "MSGMETRICS_SCHEMA_REGISTRY_PASSWORD"
TOKEN_SETTING = "MSGMETRICS_SCHEMA_REGISTRY_TOKEN_FILE"
CAFILE_SETTING = "MSGMETRICS_SCHEMA_REGISTRY_CAFILE"

URL_RULE = (
    f"{URL_SETTING} must be http(s)://host:port/path, without user and password, which are {USER_SETTING} and "
    f"{PASSWORD_SETTING}, and without ? and #"
)
_PLAIN = re.compile(r"[!-~]+")
"""Printable ASCII without spaces: what may stand in a line of a request."""


@dataclass(frozen=True, slots=True)
class Access:
    """A schema registry to ask. Prints itself without credentials; raises ValueError, which quotes nothing, if wrong.

    Either ``user`` and ``password`` go with a request, or ``token``, or nothing. ``cafile`` is for https: the
    authorities to trust ('' : the system's).
    """

    url: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    cafile: str = ""

    def __post_init__(self) -> None:
        scheme = _split(self.url).scheme
        if self.token and (self.user or self.password):
            raise ValueError(f"{TOKEN_SETTING} excludes {USER_SETTING} and {PASSWORD_SETTING}")
        if self.password and not self.user:
            raise ValueError(f"{PASSWORD_SETTING} needs {USER_SETTING}")
        if ":" in self.user:
            raise ValueError(f"{USER_SETTING} must be without a colon, which ends it in HTTP")
        if self.token and not _PLAIN.fullmatch(self.token):
            raise ValueError(f"{TOKEN_SETTING} must be one line of ASCII without spaces")
        if self.cafile and scheme != "https":
            raise ValueError(f"{CAFILE_SETTING} is for https, and {URL_SETTING} is not")

    @property
    def name(self) -> str:
        """The registry as sentences call it."""
        return f"the schema registry at {self.url.rstrip('/')}"

    @property
    def is_secure(self) -> bool:
        """Whether the registry is asked over TLS."""
        return _split(self.url).scheme == "https"

    @property
    def host(self) -> str:
        return _split(self.url).hostname or ""

    @property
    def port(self) -> int:
        return _split(self.url).port or (443 if self.is_secure else 80)

    @property
    def path(self) -> str:
        """The path that those of the registry's API are added to."""
        return _split(self.url).path.rstrip("/")

    @property
    def authorization(self) -> str:
        """The value of the header; '' without credentials."""
        if self.token:
            return f"Bearer {self.token}"
        if self.user:
            return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return ""

    def without_credentials(self, text: str) -> str:
        """Foreign text, in which a server may repeat them."""
        for secret in (self.authorization.partition(" ")[2], self.password, self.token):
            text = text.replace(secret, "…") if secret else text
        return text


def _split(url: str) -> SplitResult:
    """The parts of the URL. Raises ValueError with the rule: the library's own errors quote the URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(URL_RULE) from None
    is_plain = _PLAIN.fullmatch(url) and not re.search(r"[?#@\\]", url)
    if is_plain and parts.scheme in ("http", "https") and parts.hostname:
        return parts
    raise ValueError(URL_RULE)
