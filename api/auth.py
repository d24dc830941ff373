"""Authentication: API keys, looked up by hash and cached for a few seconds.

Every fault of a key gives the same answer. What a key looks like decides nothing, only its hash does; a key whose hash
is not among those of all keys is not looked up.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cachetools import TLRUCache

from api import metrics
from api.errors import Forbidden, Unauthorized
from api.known_keys import KnownKeys
from api.reader import Account
from schemas.api_key import READ_SCOPE, key_hash, key_prefix
from schemas.grain import MS_PER_SECOND
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


@dataclass(frozen=True, slots=True)
class _Found:
    """The account under a key, or that there is none, and when the look-up began."""

    account: Account | None
    looked_up_at: float


class Authenticator:
    """Checks the Authorization header. Lives on one event loop; ``clock`` is monotonic seconds."""

    def __init__(
        self, known: KnownKeys, lookup: Callable[[str], Awaitable[Account | None]], clock: Callable[[], float]
    ) -> None:
        self._known, self._lookup, self._clock = known, lookup, clock
        self._cache: TLRUCache[str, _Found] = TLRUCache(
            REMEMBER_KEYS,
            # Not TTLCache, whose time begins at the end of a look-up: a slow one would outlast the 5 s.
            ttu=lambda _, found, __: found.looked_up_at + REMEMBER_SECONDS,
            timer=clock,
        )

    async def authenticate(self, header: str | None) -> Caller:
        """The caller behind an Authorization header. Raises Unauthorized, Forbidden or Unavailable."""
        key = header[len(SCHEME) :] if header and header[: len(SCHEME)].lower() == SCHEME.lower() else ""
        if not key:
            raise Unauthorized
        hashed = key_hash(key)
        found = self._cached(hashed)
        if found is None:
            if not await self._known.has(hashed):
                raise Unauthorized
            found = await self._look_up(hashed)
        return self._caller(key, found)

    def _caller(self, key: str, found: _Found) -> Caller:
        account, age_ms = found.account, (self._clock() - found.looked_up_at) * MS_PER_SECOND
        if account is None or account.is_revoked:
            raise Unauthorized
        if account.valid_ms is not None and account.valid_ms <= age_ms:
            raise Unauthorized
        if READ_SCOPE not in account.scopes:
            raise Forbidden
        tier = TIERS.get(account.tier, DEFAULT_TIER)
        return Caller(account.org_id, tier, key_prefix(key))

    def _cached(self, hashed: str) -> _Found | None:
        try:
            found = self._cache[hashed]  # ``get`` would look the key up twice
        except KeyError:
            return None
        metrics.KEYS_FROM_CACHE.inc()
        return found

    async def _look_up(self, hashed: str) -> _Found:
        began = self._clock()
        metrics.KEYS_FROM_STORE.inc()
        found = self._cache[hashed] = _Found(await self._lookup(hashed), began)
        return found
