"""Tokens in files that something else keeps fresh: a service account's, or an identity provider's."""

import re
from pathlib import Path

TOKEN = re.compile(r"[!-~]+")


class TokenError(Exception):
    """The file has no usable token; the text never quotes it."""


def read_token(path: str) -> str:
    """The token in the file now. Raises TokenError."""
    try:
        token = Path(path).read_text("ascii", "replace").strip()
    except OSError as error:
        raise TokenError(f"the token cannot be read from {path}: {error.strerror}") from None
    if not TOKEN.fullmatch(token):
        raise TokenError(f"{path} has no token: one line of printable ASCII without spaces is expected")
    return token
