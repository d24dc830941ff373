"""The gate of the engine's port: a request with every right part passes, and with any part wrong it does not."""

from email.message import Message

import pytest

from deploy.engines.gate import FROM_A_PAGE, MISDIRECTED, NOT_ALLOWED, UNKNOWN, Refusal, basic, refusal

PASSWORD = "right"
RIGHT = [("Host", "127.0.0.1:8123"), ("Authorization", basic(PASSWORD))]


def ask(method: str = "POST", target: str = "/", *more: tuple[str, str], given: object = None) -> Refusal | None:
    headers = Message()
    for name, value in (*(RIGHT if given is None else given), *more):  # type: ignore[misc]
        headers[name] = value
    return refusal(method, target, headers, PASSWORD)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:65535", "LocalHost", "[::1]:80"])
def test_a_statement_with_the_password_passes_under_the_names_of_loopback(host: str) -> None:
    assert ask(given=[("Host", host), RIGHT[1]]) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8123", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil",
     "evil.example#127.0.0.1", "192.168.1.5:8123", "0.0.0.0", "::1", "127.0.0.1:8123:1", "127.0.0.1:", "localhost\n"],
)  # fmt: skip
@pytest.mark.parametrize("target", ["/", "/ping"])
def test_any_other_host_is_a_name_that_somebody_has_pointed_here(host: str, target: str) -> None:
    method = "GET" if target == "/ping" else "POST"
    assert ask(method, target, given=[("Host", host), RIGHT[1]]) is MISDIRECTED


def test_no_host_and_two_are_refused() -> None:
    assert ask(given=RIGHT[1:]) is MISDIRECTED
    assert ask("POST", "/", ("Host", "evil.example")) is MISDIRECTED
    assert ask("POST", "/", RIGHT[0]) is MISDIRECTED


@pytest.mark.parametrize("origin", ["null", "", "https://evil.example", "http://127.0.0.1:8123", "file://"])
@pytest.mark.parametrize(("method", "target"), [("POST", "/"), ("GET", "/ping"), ("OPTIONS", "/")])
def test_whatever_a_page_asks_is_refused_even_with_the_password(origin: str, method: str, target: str) -> None:
    assert ask(method, target, ("Origin", origin)) is FROM_A_PAGE
    assert ask(method, target, ("oRIGIN", origin)) is FROM_A_PAGE


@pytest.mark.parametrize(
    "value",
    ["", "Basic", basic(""), basic("wrong"), basic("right "), basic("RIGHT"), basic(PASSWORD).lower(), "Bearer right",
     "Basic cmlnaHQ=", basic(PASSWORD) + "\xff"],
)  # fmt: skip
def test_a_wrong_password_or_none_is_refused(value: str) -> None:
    assert ask(given=[RIGHT[0], ("Authorization", value)]) is UNKNOWN
    assert ask(given=RIGHT[:1]) is UNKNOWN
    assert ask("POST", "/?user=default&password=right", given=RIGHT[:1]) is UNKNOWN
    assert ask("POST", "/ping", given=RIGHT[:1]) is UNKNOWN


def test_only_a_ping_may_be_got_and_needs_no_password() -> None:
    assert ask("GET", "/ping", given=RIGHT[:1]) is None
    for target in ("/", "/?query=SELECT+1", "/ping/", "/pings", "/?/ping", "//ping", "/replicas_status"):
        assert ask("GET", target) is NOT_ALLOWED
    for method in ("PUT", "HEAD", "OPTIONS", "DELETE", "get", "post"):
        assert ask(method, "/ping") is NOT_ALLOWED
