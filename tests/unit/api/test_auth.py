"""Authentication: one answer for every fault, no look-up for a stranger, and a cache with an age and a bound."""

import asyncio

import pytest

from api.auth import REMEMBER_KEYS, REMEMBER_SECONDS, Authenticator, Caller
from api.errors import Forbidden, Unauthorized
from api.known_keys import KeyHashes, KnownKeys
from api.reader import Account
from schemas.api_key import key_hash

GOOD, REVOKED, EXPIRED, UNSCOPED, UNKNOWN = (f"am_live_{letter * 34}" for letter in "grxun")
IMPORTED = "Ключ-of-another-system"
READ = frozenset({"metrics:read"})
STORED = {
    key_hash(GOOD): Account("1", "org", READ, False, None, "scale"),
    key_hash(REVOKED): Account("2", "org", READ, True, None, "scale"),
    key_hash(EXPIRED): Account("3", "org", READ, False, -5, "scale"),
    key_hash(UNSCOPED): Account("4", "org", frozenset({"other:read"}), False, None, "scale"),
    key_hash(IMPORTED): Account("5", "org", READ, False, 1000, "scale"),
}


class Store:
    """Answers from STORED and counts; a clock that tests move, and that a slow look-up moves as well."""

    def __init__(self) -> None:
        self.looked_up: list[str] = []
        self.readings = 0
        self.now = 0.0
        self.takes = 0.0

    async def account(self, hashed: str) -> Account | None:
        self.looked_up.append(hashed)
        self.now += self.takes
        return STORED.get(hashed)

    async def hashes(self, _: int) -> KeyHashes:
        self.readings += 1
        return KeyHashes(1, b"".join(sorted(map(bytes.fromhex, STORED))))


class Asking:
    """An authenticator on a store, asked in an event loop of its own."""

    def __init__(self, store: Store) -> None:
        self.authenticator = Authenticator(KnownKeys(store.hashes, lambda: store.now), store.account, lambda: store.now)

    def __call__(self, header: str | None) -> Caller:
        return asyncio.run(self.authenticator.authenticate(header))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def ask(store: Store) -> Asking:
    return Asking(store)


@pytest.mark.parametrize(
    ("header", "readings", "look_ups"),
    [
        *((missing, 0, 0) for missing in (None, "", "Bearer", "Bearer ", "Basic x", f"Basic {GOOD}")),
        *((f"Bearer {unknown}", 1, 0) for unknown in ("short", f"{GOOD} ", UNKNOWN, GOOD.upper(), "ü")),
        *((f"Bearer {fallen}", 1, 1) for fallen in (REVOKED, EXPIRED)),
    ],
)
def test_every_kind_of_401_is_the_same_and_a_strangers_is_not_looked_up(
    ask: Asking, store: Store, header: str | None, readings: int, look_ups: int
) -> None:
    with pytest.raises(Unauthorized) as error:
        ask(header)
    assert (store.readings, len(store.looked_up)) == (readings, look_ups)
    assert (error.value.message, error.value.details) == ("authentication failed", None)


def test_a_key_counts_by_its_hash_alone_and_little_of_a_short_one_is_logged(ask: Asking) -> None:
    assert ask(f"Bearer {GOOD}").key_prefix == GOOD[:12]
    assert ask(f"Bearer {IMPORTED}").key_prefix == "Ключ-of"


def test_answers_are_remembered_for_a_moment_good_and_bad(ask: Asking, store: Store) -> None:
    for _ in range(3):
        assert ask(f"bearer {GOOD}").org_id == "org"
        with pytest.raises(Unauthorized):
            ask(f"Bearer {REVOKED}")
        with pytest.raises(Forbidden):
            ask(f"Bearer {UNSCOPED}")
    assert len(store.looked_up) == 3
    store.now += REMEMBER_SECONDS
    ask(f"Bearer {GOOD}")
    assert len(store.looked_up) == 4
    assert REMEMBER_SECONDS < 5


def test_a_look_up_is_as_old_as_its_beginning(ask: Asking, store: Store) -> None:
    store.takes = REMEMBER_SECONDS / 2
    ask(f"Bearer {GOOD}")
    store.now += REMEMBER_SECONDS / 2 - 0.01
    ask(f"Bearer {GOOD}")
    assert len(store.looked_up) == 1
    store.now += 0.01
    ask(f"Bearer {GOOD}")
    assert len(store.looked_up) == 2


def test_a_remembered_key_still_expires(ask: Asking, store: Store) -> None:
    for store.now in (0.0, 0.999):
        assert ask(f"Bearer {IMPORTED}").org_id == "org"
    store.now = 1.0
    with pytest.raises(Unauthorized):
        ask(f"Bearer {IMPORTED}")
    assert len(store.looked_up) == 1


def test_guessing_takes_no_memory_and_pushes_no_key_out(ask: Asking, store: Store) -> None:
    async def guess_in_vain(guesses: int) -> None:
        refused = [ask.authenticator.authenticate(f"Bearer {number}") for number in range(guesses)]
        assert {type(error) for error in await asyncio.gather(*refused, return_exceptions=True)} == {Unauthorized}

    ask(f"Bearer {GOOD}")
    asyncio.run(guess_in_vain(REMEMBER_KEYS + 500))
    assert ask(f"Bearer {GOOD}").org_id == "org"
    assert (len(store.looked_up), store.readings) == (1, 2)
    assert len(ask.authenticator._cache) == 1


def test_the_cache_of_keys_in_use_is_bounded(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [f"key {number}" for number in range(REMEMBER_KEYS + 50)]
    monkeypatch.setattr(f"{__name__}.STORED", {key_hash(key): STORED[key_hash(GOOD)] for key in made})

    async def use_all() -> None:
        for key in made:
            await ask.authenticator.authenticate(f"Bearer {key}")

    asyncio.run(use_all())
    assert len(ask.authenticator._cache) == REMEMBER_KEYS
