"""Authentication: the same work for every fault, and a cache with an age and a bound."""

import pytest

from api.auth import REMEMBER_KEYS, REMEMBER_SECONDS, Authenticator
from api.errors import Forbidden, Unauthorized
from api.reader import Account
from schemas.api_key import key_hash

GOOD, REVOKED, EXPIRED, UNSCOPED, UNKNOWN = (f"am_live_{letter * 34}" for letter in "grxun")
READ = frozenset({"metrics:read"})
STORED = {
    key_hash(GOOD): Account("1", "org", READ, 0, 0, "scale"),
    key_hash(REVOKED): Account("2", "org", READ, 5, 0, "scale"),
    key_hash(EXPIRED): Account("3", "org", READ, 0, 5, "scale"),
    key_hash(UNSCOPED): Account("4", "org", frozenset({"other:read"}), 0, 0, "scale"),
}


class Lookups:
    """Answers from STORED and counts; a clock that tests move, and that a slow look-up moves as well."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now = 0.0
        self.takes = 0.0

    def __call__(self, hashed: str) -> Account | None:
        self.asked.append(hashed)
        self.now += self.takes
        return STORED.get(hashed)


@pytest.fixture
def lookups() -> Lookups:
    return Lookups()


@pytest.fixture
def authenticator(lookups: Lookups) -> Authenticator:
    return Authenticator(lookups, lambda: lookups.now)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic x", "Bearer short", f"Bearer {GOOD} ", f"Bearer {UNKNOWN}",
     f"Bearer {REVOKED}", f"Bearer {EXPIRED}", f"Bearer {GOOD.upper()}", "Bearer ü"],
)  # fmt: skip
def test_every_kind_of_401_costs_one_hash_and_one_look_up(
    authenticator: Authenticator, lookups: Lookups, header: str | None
) -> None:
    with pytest.raises(Unauthorized) as error:
        authenticator.authenticate(header, 10)
    assert len(lookups.asked) == 1
    assert (error.value.message, error.value.details) == ("authentication failed", None)


def test_answers_are_remembered_for_a_moment_good_and_bad(authenticator: Authenticator, lookups: Lookups) -> None:
    for _ in range(3):
        assert authenticator.authenticate(f"bearer {GOOD}", 10).org_id == "org"
        with pytest.raises(Unauthorized):
            authenticator.authenticate(f"Bearer {UNKNOWN}", 10)
        with pytest.raises(Forbidden):
            authenticator.authenticate(f"Bearer {UNSCOPED}", 10)
    assert len(lookups.asked) == 3
    lookups.now += REMEMBER_SECONDS
    authenticator.authenticate(f"Bearer {GOOD}", 10)
    assert len(lookups.asked) == 4
    assert REMEMBER_SECONDS < 5


def test_a_look_up_is_as_old_as_its_beginning(authenticator: Authenticator, lookups: Lookups) -> None:
    lookups.takes = REMEMBER_SECONDS / 2
    authenticator.authenticate(f"Bearer {GOOD}", 10)
    lookups.now += REMEMBER_SECONDS / 2 - 0.01
    assert authenticator.remembered(f"Bearer {GOOD}", 10) is not None
    lookups.now += 0.01
    assert authenticator.remembered(f"Bearer {GOOD}", 10) is None


def test_a_remembered_key_still_expires(authenticator: Authenticator) -> None:
    STORED[key_hash("am_live_" + "e" * 34)] = Account("5", "org", READ, 0, 1000, "scale")
    assert authenticator.authenticate("Bearer am_live_" + "e" * 34, 999).org_id == "org"
    with pytest.raises(Unauthorized):
        authenticator.authenticate("Bearer am_live_" + "e" * 34, 1000)


def test_guessing_does_not_fill_the_memory(authenticator: Authenticator) -> None:
    for number in range(REMEMBER_KEYS + 500):
        with pytest.raises(Unauthorized):
            authenticator.authenticate(f"Bearer {number}", 10)
    assert len(authenticator._known) == REMEMBER_KEYS


def test_guessing_does_not_push_out_a_key_in_use(authenticator: Authenticator, lookups: Lookups) -> None:
    authenticator.authenticate(f"Bearer {GOOD}", 10)
    for number in range(REMEMBER_KEYS + 500):
        with pytest.raises(Unauthorized):
            authenticator.authenticate(f"Bearer {number}", 10)
        if number % 1000 == 0:
            assert authenticator.remembered(f"Bearer {GOOD}", 10) is not None
