"""The token for OAUTHBEARER: read from a file that something else keeps fresh, at every authentication.

Every platform can provide a file: a projected service account token, or one that a side-car of the identity provider
writes. So no client secret passes through this program.
"""

import base64
import binascii

import msgspec

WITHOUT_EXPIRY_SECONDS = 300
"""Lifetime of a token without an `exp` claim: the file is read again after it."""


class _Claims(msgspec.Struct):
    exp: float | None = None


def expires_at(token: str, now_seconds: float) -> float:
    """Expiry of the token in epoch seconds: its `exp` claim, else WITHOUT_EXPIRY_SECONDS from now.

    Only the brokers can judge a token; this merely says when to read the file again.
    """
    exp = _claims(token).exp
    return exp if exp is not None and exp > 0 else now_seconds + WITHOUT_EXPIRY_SECONDS


def _claims(token: str) -> _Claims:
    parts = token.split(".")
    if len(parts) < 2:
        return _Claims()
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), type=_Claims)
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        return _Claims()
