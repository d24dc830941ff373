"""Access to a registry: what may be set, and that credentials are never shown."""

import pytest

from schemas.registry_access import Access

SECRETS = {"user": "me", "password": "s3cret"}


@pytest.mark.parametrize(
    "url",
    [
        *("", "registry:8081", "ftp://registry", "http://", "http:///path", "http://registry:port", "http://[::1"),
        *("http://me:s3cret@registry", "http://registry/?token=s3cret", "http://registry/#s3cret"),
        *("http://regi stry", "http://registry/\r\nX: s3cret", "http://registry\\s3cret", "http://r\u00e9gistry"),
    ],
)
def test_a_wrong_url_is_refused_by_the_rule_and_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match=r"_URL must be http\(s\)://host:port/path") as raised:
        Access(url)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({**SECRETS, "token": "t0ken"}, "_TOKEN_FILE excludes"),
        ({"password": "s3cret"}, "_PASSWORD needs"),
        ({"user": "m:e"}, "without a colon"),
        ({"token": "t0ken\n"}, "one line of ASCII"),
        ({"token": "t\u00f6ken"}, "one line of ASCII"),
        ({"cafile": "/ca.pem"}, "_CAFILE is for https"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as raised:
        Access("http://registry", **wrong)
    assert not any(secret in str(raised.value) for secret in ("s3cret", "t0ken", "t\u00f6ken"))


def test_credentials_are_not_printed() -> None:
    assert repr(Access("https://registry/", **SECRETS)) == "Access(url='https://registry/', cafile='')"
    assert "t0ken" not in repr(Access("https://registry/", token="t0ken"))


def test_credentials_that_a_server_repeats_are_not_quoted() -> None:
    access = Access("https://registry", **SECRETS)
    assert access.without_credentials(f"{access.authorization} is not s3cret") == "Basic … is not …"
    assert Access("https://registry", token="t0ken").without_credentials("Bearer t0ken") == "Bearer …"


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://registry", "registry", 80, ""),
        ("https://registry/", "registry", 443, ""),
        ("https://[::1]:8081/apis/ccompat/v7/", "::1", 8081, "/apis/ccompat/v7"),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int, path: str) -> None:
    access = Access(url)
    assert (access.host, access.port, access.path) == (host, port, path)
