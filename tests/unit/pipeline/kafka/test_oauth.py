"""Tokens for OAUTHBEARER: read from a file, used until they say they expire."""

import base64
import json
from pathlib import Path

import pytest

from pipeline.kafka.oauth import WITHOUT_EXPIRY_SECONDS, expires_at
from schemas.token_file import TokenError, read_token


def token(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.sig"


def test_a_token_expires_when_it_says_so() -> None:
    assert expires_at(token({"exp": 1234.5, "sub": "x"}), 1000.0) == 1234.5


@pytest.mark.parametrize(
    "opaque", ["opaque", "a.b.c", token({"sub": "x"}), token([]), token({"exp": "soon"}), "..", "a.%"]
)
def test_one_that_does_not_say_is_read_again_soon(opaque: str) -> None:
    assert expires_at(opaque, 1000.0) == 1000.0 + WITHOUT_EXPIRY_SECONDS


@pytest.mark.parametrize("content", ["", "\n", "two words", "line\nline", "ä"])
def test_a_file_without_a_token_is_named_and_not_quoted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(TokenError, match="has no token") as caught:
        read_token(str(file))
    assert not content.strip() or content.strip() not in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="cannot be read"):
        read_token(str(tmp_path / "none"))


def test_a_token_is_taken_as_it_stands_in_the_file_now(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for content in ("first", "second"):
        file.write_text(content + "\n")
        assert read_token(str(file)) == content
