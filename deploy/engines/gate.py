"""The gate of the engine's port: a request passes if it has the password and no web page can have sent it.

A page in a browser of this machine may send requests to any port of loopback, and reads the answers where its own name
points there (DNS rebinding). Statements read and write files, so more than a password stands before them: Host must
name loopback, there must be no Origin, and but for ``GET /ping`` only POST is taken, which browsers send with one.
"""

import hmac
import re
from base64 import b64encode
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

USER = "default"
HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)
ACCESS_DENIED, AUTHENTICATION_FAILED = 497, 516


@dataclass(frozen=True, slots=True)
class Refusal:
    """Status, ClickHouse's code and a sentence."""

    status: HTTPStatus
    code: int
    sentence: str


MISDIRECTED = Refusal(HTTPStatus.MISDIRECTED_REQUEST, ACCESS_DENIED, "Host must be 127.0.0.1, localhost or [::1]")
FROM_A_PAGE = Refusal(HTTPStatus.FORBIDDEN, ACCESS_DENIED, "requests of web pages (Origin) are refused")
NOT_ALLOWED = Refusal(HTTPStatus.METHOD_NOT_ALLOWED, ACCESS_DENIED, "statements are sent by POST")
UNKNOWN = Refusal(HTTPStatus.FORBIDDEN, AUTHENTICATION_FAILED, "wrong user or password; dev.json has the right ones")


def basic(password: str) -> str:
    """The Authorization header of the user with this password."""
    return "Basic " + b64encode(f"{USER}:{password}".encode()).decode()


def refusal(method: str, target: str, headers: Message, password: str | None) -> Refusal | None:
    """The reason for which a request does not pass, None where it does; ``target`` is that of its first line.

    Where ``password`` is None nobody is asked for one.
    """
    hosts = headers.get_all("Host", [])
    if len(hosts) != 1 or HOST.fullmatch(hosts[0]) is None:
        return MISDIRECTED
    if "Origin" in headers:
        return FROM_A_PAGE
    if method == "GET" and urlsplit(target).path == "/ping":
        return None
    if method != "POST":
        return NOT_ALLOWED
    if password is None:
        return None
    given = headers.get("Authorization", "")
    return None if hmac.compare_digest(given.encode(), basic(password).encode()) else UNKNOWN
