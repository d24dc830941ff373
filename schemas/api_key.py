"""API keys: their text form, and what is stored of them.

A key that is made here is ``am_live_`` and 34 characters of ``[a-z0-9]`` (175 bits). Only its SHA-256 is stored; the
first 12 characters (the prefix) may be shown and logged, but of a shorter key from elsewhere only a third.
"""

import hashlib
import re
import secrets
import string

KEY_MARK = "am_live_"
KEY_SECRET_CHARACTERS = 34
KEY_PREFIX_CHARACTERS = 12
READ_SCOPE = "metrics:read"
SCOPE_PATTERN = re.compile(r"[a-z_]+:[a-z_]+", re.ASCII)
KEY_PATTERN = re.compile(rf"{KEY_MARK}[a-z0-9]{{{KEY_SECRET_CHARACTERS}}}", re.ASCII)
_ALPHABET = string.ascii_lowercase + string.digits


def new_key() -> str:
    """A fresh key from the system's random source."""
    return KEY_MARK + "".join(secrets.choice(_ALPHABET) for _ in range(KEY_SECRET_CHARACTERS))


def key_hash(key: str) -> str:
    """The 64 hexadecimal digits under which a key is stored and looked up."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_prefix(key: str) -> str:
    """The part of a key that may be shown and logged."""
    return key[: min(KEY_PREFIX_CHARACTERS, len(key) // 3)]
