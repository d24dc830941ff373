"""Who is asking: API keys, looked up by hash and remembered for a few seconds.

Every fault of a key gives the same answer after the same work: one hash, and one look-up at most.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from api.errors import Forbidden, Unauthorized
from api.reader import Account
from schemas.api_key import KEY_PATTERN, READ_SCOPE, key_hash, key_prefix
from schemas.tiers import DEFAULT_TIER, Tier

REMEMBER_SECONDS = 4.0
"""A revoked key or a changed tier takes effect within 5 s; this leaves time for the look-up itself."""
REMEMBER_KEYS = 10_000
SCHEME = "Bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller with the scope to read metrics."""

    org_id: str
    tier: Tier
    key_prefix: str


class Authenticator:
    """Checks the Authorization header. ``lookup`` blocks; ``clock`` is monotonic seconds."""

    def __init__(self, lookup: Callable[[str], Account | None], clock: Callable[[], float]) -> None:
        self._lookup, self._clock = lookup, clock
        self._known: OrderedDict[str, tuple[float, Account | None]] = OrderedDict()

    def authenticate(self, header: str | None, now_ms: int) -> Caller:
        """The caller behind an Authorization header. Raises Unauthorized or Forbidden; blocks on a look-up."""
        key = header[len(SCHEME) :] if header and header[: len(SCHEME)].lower() == SCHEME.lower() else ""
        account = self._account(key_hash(key))
        if account is None or KEY_PATTERN.fullmatch(key) is None:
            raise Unauthorized
        if account.revoked_ms or (account.expires_ms and account.expires_ms <= now_ms):
            raise Unauthorized
        if READ_SCOPE not in account.scopes:
            raise Forbidden({"required_scope": READ_SCOPE})
        tier = Tier(account.tier) if account.tier in set(Tier) else DEFAULT_TIER
        return Caller(account.org_id, tier, key_prefix(key))

    def _account(self, hashed: str) -> Account | None:
        now = self._clock()
        known = self._known.get(hashed)
        if known is not None and now - known[0] < REMEMBER_SECONDS:
            return known[1]
        account = self._lookup(hashed)
        self._known[hashed] = (now, account)
        self._known.move_to_end(hashed)
        while len(self._known) > REMEMBER_KEYS:
            self._known.popitem(last=False)
        return account
