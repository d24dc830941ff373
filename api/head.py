"""Faults of a request's head that the parser lets pass: its version, its Host, the end of its body. Pure.

Two programs that read the end of a body differently take different bytes for the next request (request smuggling), so
that a head which is not plain is refused.
"""

import re
from collections.abc import Sequence

VERSIONS = ("1.1", "1.0")
VERSION = "HTTP/1.1 and HTTP/1.0 are spoken here"
HOST = "exactly one Host is needed: a name or an address, with or without a port"
CODING = "chunked is the only Transfer-Encoding, and HTTP/1.1 the only version that has it"
UPGRADE = "a request for another protocol has no body"

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?[ \t]*")
_READ_HERE = frozenset({b"host", b"content-length", b"transfer-encoding"})


def fault(version: str, headers: Sequence[tuple[bytes, bytes]], is_upgrade: bool) -> str | None:
    """The sentence that says why the request is refused, or None. Names of headers are in small letters.

    ``is_upgrade`` means a request whose body the parser does not read: CONNECT, and one with an Upgrade.
    """
    if version not in VERSIONS:
        return VERSION
    found = [header for header in headers if header[0] in _READ_HERE]
    hosts = [value for name, value in found if name == b"host"]
    if len(hosts) != 1 and (hosts or version == "1.1"):
        return HOST
    if hosts and not _HOST.fullmatch(hosts[0]):
        return HOST
    return _fault_of_body(version, found, is_upgrade) if len(found) > len(hosts) else None


def _fault_of_body(version: str, found: Sequence[tuple[bytes, bytes]], is_upgrade: bool) -> str | None:
    codings = [value.strip().lower() for name, value in found if name == b"transfer-encoding"]
    lengths = [value.strip() for name, value in found if name == b"content-length"]
    if codings and (codings != [b"chunked"] or version != "1.1"):
        return CODING
    return UPGRADE if is_upgrade and (codings or lengths not in ([], [b"0"])) else None
