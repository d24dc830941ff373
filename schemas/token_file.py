"""Tokens in files that something else keeps fresh: a service account's, or an identity provider's."""

from pathlib import Path


class TokenError(Exception):
    """The file has no usable token; the text never quotes it."""


def read_token(path: str) -> str:
    """The token in the file now. Raises TokenError."""
    try:
        token = Path(path).read_text().strip()
    except OSError as error:
        raise TokenError(f"the OAuth token cannot be read from {path}: {error.strerror}") from None
    if not token or not token.isascii() or any(c.isspace() for c in token):
        raise TokenError(f"{path} has no OAuth token: one line without spaces is expected")
    return token
