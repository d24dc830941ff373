"""Who is asking: API keys, looked up by hash and remembered for a few seconds.

Every fault of a key gives the same answer after the same work: one hash, and one look-up at most.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from api import metrics
from api.errors import Forbidden, Unauthorized
from api.reader import Account
from schemas.api_key import KEY_PATTERN, READ_SCOPE, key_hash, key_prefix
from schemas.tiers import DEFAULT_TIER, Tier

REMEMBER_SECONDS = 4.0
"""A revoked key or a changed tier takes effect within 5 s; this leaves time for the look-up itself."""
REMEMBER_KEYS = 10_000
SCHEME = "Bearer "
TIERS = {tier.value: tier for tier in Tier}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller with the scope to read metrics."""

    org_id: str
    tier: Tier
    key_prefix: str


class Authenticator:
    """Checks the Authorization header, from any thread. ``lookup`` blocks; ``clock`` is monotonic seconds."""

    def __init__(self, lookup: Callable[[str], Account | None], clock: Callable[[], float]) -> None:
        self._lookup, self._clock = lookup, clock
        self._known: OrderedDict[str, tuple[float, Account | None]] = OrderedDict()
        self._lock = threading.Lock()

    def authenticate(self, header: str | None, now_ms: int) -> Caller:
        """The caller behind an Authorization header. Raises Unauthorized or Forbidden; blocks on a look-up."""
        key, hashed = _key_in(header)
        known = self._remembered(hashed)
        return self._caller(key, self._looked_up(hashed) if known is None else known[1], now_ms)

    def remembered(self, header: str | None, now_ms: int) -> Caller | None:
        """The same without ever blocking; None where that takes a look-up."""
        key, hashed = _key_in(header)
        known = self._remembered(hashed)
        return None if known is None else self._caller(key, known[1], now_ms)

    def _caller(self, key: str, account: Account | None, now_ms: int) -> Caller:
        if account is None or KEY_PATTERN.fullmatch(key) is None:
            raise Unauthorized
        if account.revoked_ms or (account.expires_ms and account.expires_ms <= now_ms):
            raise Unauthorized
        if READ_SCOPE not in account.scopes:
            raise Forbidden
        tier = TIERS.get(account.tier, DEFAULT_TIER)
        return Caller(account.org_id, tier, key_prefix(key))

    def _remembered(self, hashed: str) -> tuple[float, Account | None] | None:
        """What is known of a key without asking: when it was looked up, and what was found."""
        with self._lock:
            known = self._known.get(hashed)
        if known is None or self._clock() - known[0] >= REMEMBER_SECONDS:
            return None
        metrics.KEYS_FROM_CACHE.inc()
        return known

    def _looked_up(self, hashed: str) -> Account | None:
        now = self._clock()
        metrics.KEYS_FROM_STORE.inc()
        account = self._lookup(hashed)
        with self._lock:
            self._known[hashed] = (now, account)
            self._known.move_to_end(hashed)
            if len(self._known) > REMEMBER_KEYS:
                self._known.popitem(last=False)
        return account


def _key_in(header: str | None) -> tuple[str, str]:
    """The key in an Authorization header ('' for none), and its hash."""
    key = header[len(SCHEME) :] if header and header[: len(SCHEME)].lower() == SCHEME.lower() else ""
    return key, key_hash(key)
