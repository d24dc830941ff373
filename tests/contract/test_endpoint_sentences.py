"""The client's contract, sentence by sentence: what is asked, and what the answer must say.

An answer is looked at by path: ``data.buckets.#`` is a length, ``error.details`` the names of the details.
It is 2026-05-05T12:00:00.5Z, and ``as_of`` is 10:30:00.9 of that day.
"""

from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from schemas.connection import connect
from schemas.tiers import Tier
from tests.contract.sentences import SENTENCES, Sentence
from tests.support.endpoint import AS_OF, NOW, CheckedClient, request, store


def at(body: Any, path: str, wanted: Any) -> Any:
    """What stands at a path; ``#`` is a length, ``?`` a set of names (or presence), ``~`` the wanted part of a text."""
    for name in path.split("."):
        match name:
            case "#":
                body = len(body)
            case "?":
                body = set(body) if isinstance(wanted, set) else body is not None
            case "~":
                body = wanted if wanted in body else body
            case _:
                body = body[int(name) if name.isdigit() else name]
    return body


@pytest.fixture(scope="module")
def http(module_url: str) -> TestClient:
    return CheckedClient(create_app(Reader(module_url), lambda: int(NOW.timestamp() * 1000), lambda: 0.0))


@pytest.fixture(scope="module")
def keys(module_url: str) -> dict[str, str]:
    """A key per tier, each of an organization of its own with the same numbers; and keys that are refused."""
    client, keys = connect(module_url), {}
    for tier in Tier:
        set_tier(client, f"org-{tier}", tier)
        keys[tier.value] = create_key(client, f"org-{tier}", ("metrics:read",), None, NOW)
        store(client, f"org-{tier}", "2026-05-05 08:00:00", 5, "0.300000")
        store(client, f"org-{tier}", "2026-05-05 10:00:00", 9, "7")
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{AS_OF}')")
    keys["expired"] = create_key(client, "org", ("metrics:read",), NOW, NOW)
    keys["unscoped"] = create_key(client, "org", ("metrics:write",), None, NOW)
    keys["unknown"] = "am_live_" + "z" * 34
    return keys


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.text)
def test_the_contract_says(sentence: Sentence, http: TestClient, keys: dict[str, str]) -> None:
    response = request(http, keys[sentence.tier.value], query=sentence.query)
    body = response.json()
    assert response.status_code == sentence.status, body
    assert body["success"] is (sentence.status == 200)
    for path, wanted in sentence.expected.items():
        assert at(body, path, wanted) == wanted, path


@pytest.mark.parametrize(
    ("which", "status", "code", "message"),
    [
        ("expired", 401, "UNAUTHORIZED", "authentication failed"),
        ("unknown", 401, "UNAUTHORIZED", "authentication failed"),
        ("unscoped", 403, "FORBIDDEN", "missing required scope"),
    ],
)
def test_a_key_is_looked_at_before_anything_else(
    http: TestClient, keys: dict[str, str], which: str, status: int, code: str, message: str
) -> None:
    response = request(http, keys[which], query="metric=x&cursor=x")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["message"]) == (status, code, message)
