"""The client against servers on loopback that are wrong, slow, huge, or not to be trusted."""

import gzip
import logging
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.registry.client import Client
from pipeline.registry.errors import Away, Refuses, RegistryError, Unusable
from pipeline.registry.exchange import Limits
from schemas.registry_access import Access
from tests.support.background import Background
from tests.support.certificates import Authority, TlsFront
from tests.support.schema_registry import HANGS_UP, FakeRegistry, Scripted

PATH = "/schemas/ids/7"
FOUND = {"schema": "it"}
HTML = {"Content-Type": "text/html"}
QUICK = Limits(connect_seconds=2, read_seconds=0.3, total_seconds=0.6)
CREDENTIALS: tuple[dict[str, str], ...] = ({"user": "me", "password": "s3cret"}, {"token": "t0ken"})


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@contextmanager
def raises(kind: type[RegistryError], sentence: str) -> Iterator[None]:
    with pytest.raises(kind, match=sentence) as raised:
        yield
    assert not any(secret in str(raised.value) for secret in ("s3cret", "t0ken"))
    assert raised.value.cause.passes is (kind is Away)


class Raw(Background):
    """Answers one connection with these bytes, one every 20 ms if it ``drips``, and then says nothing."""

    def __init__(self, sent: bytes, drips: bool = False) -> None:
        super().__init__()
        self._sent, self._drips = sent, drips
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _run(self) -> None:
        with self._listener:
            connection, _ = self._listener.accept()
        with connection:
            pieces = [bytes([byte]) for byte in self._sent] if self._drips else [self._sent]
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except OSError:
                    return
                if self._stop.wait(0.02 * self._drips):
                    return
            self._stop.wait()


@pytest.mark.parametrize(
    ("credentials", "header"),
    [(CREDENTIALS[0], "Basic " + b64encode(b"me:s3cret").decode()), (CREDENTIALS[1], "Bearer t0ken")],
)
def test_credentials_go_with_every_request(registry: FakeRegistry, credentials: dict[str, str], header: str) -> None:
    reference = {"name": "a", "subject": "a", "version": 1}
    registry.answers |= {PATH: {**FOUND, "references": [reference]}, "/subjects/a/versions/1": FOUND}
    Client(Access(registry.url, **credentials)).fetch(7)
    assert [headers["Authorization"] for headers in registry.headers] == [header, header]


@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_named_and_not_followed(registry: FakeRegistry, status: int, credentials: dict[str, str]) -> None:
    with FakeRegistry({PATH: FOUND}) as other:
        location = f"http://me:s3cret@127.0.0.1:{other.port}{PATH}?token=t0ken"
        registry.answers[PATH] = Scripted(b"", status, {"Location": location})
        where = f"answers {status}, a redirect to '{other.url}{PATH}', which is not followed; set MSGMETRICS_"
        with raises(Refuses, where):
            Client(Access(registry.url, **credentials)).fetch(7)
        assert other.asked == []
        assert len(registry.asked) == 1


@pytest.mark.parametrize(
    ("credentials", "remedy"),
    [
        ({}, "_USER and .*_PASSWORD, or .*_TOKEN_FILE"),
        (CREDENTIALS[0], "_USER and .*_PASSWORD"),
        (CREDENTIALS[1], "_TOKEN_FILE"),
    ],
)
def test_refused_credentials_are_named_by_their_settings(
    registry: FakeRegistry, credentials: dict[str, str], remedy: str
) -> None:
    registry.answers[PATH] = Scripted({"error_code": 401, "message": "unknown user"}, 401)
    with raises(Refuses, f"answers 401: 'unknown user'; (check|set) MSGMETRICS_SCHEMA_REGISTRY{remedy}$"):
        Client(Access(registry.url, **credentials)).fetch(7)
    registry.answers[PATH] = Scripted(b"", 403)
    with raises(Refuses, "answers 403; give these credentials the right to read"):
        Client(Access(registry.url, **credentials)).fetch(7)


@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_credentials_that_the_server_repeats_are_in_no_sentence_and_no_log(
    registry: FakeRegistry, credentials: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = Access(registry.url, **credentials).authorization
    registry.answers[PATH] = Scripted({"message": f"not {secret} {[*credentials.values()][-1]}"}, 401)
    with raises(Refuses, "'not (Basic|Bearer) … …'"):
        Client(Access(registry.url, **credentials)).fetch(7)
    assert not any(word in caplog.text for word in ("s3cret", "t0ken", secret))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_overloaded_registry_is_away(registry: FakeRegistry, status: int) -> None:
    registry.answers[PATH] = Scripted({"error_code": status, "message": "busy"}, status)
    with raises(Away, f"answers {status}: 'busy'; it is asked again"):
        Client(Access(registry.url)).fetch(7)
    assert registry.asked == [PATH]


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (Scripted(b"<html>", headers=HTML), Refuses, "is not JSON, and begins with '<html>'"),
        (Scripted(b""), Refuses, "is not JSON"),
        (Scripted(b'{"schema": "\xff"}'), Refuses, "is not JSON"),
        (Scripted(b'{"schema": "x", "more": ' + b"[" * 100_000), Refuses, "is not JSON|breaks off"),
        (["schema"], Refuses, "is no schema registry's"),
        ({"schema": 7}, Refuses, "is no schema registry's"),
        ({"hello": "world"}, Refuses, "is no schema registry's"),
        ({**FOUND, "references": [{"name": "a"}]}, Refuses, "is no schema registry's"),
        (Scripted(b'{"schema": "it'), Away, "breaks off"),
        (Scripted(b'{"schema": "it"}', promises=100), Away, "breaks off"),
        (HANGS_UP, Away, "breaks off"),
        (Scripted(b'{"schema": "' + b"x" * (1 << 20) + b'"}'), Unusable, "schema 7 is larger than 1024 KiB"),
        (Scripted(b" " * (1 << 21), headers=HTML), Refuses, "is larger than 1024 KiB, and not said to be JSON"),
    ],
)
def test_wrong_answers_are_told_apart(
    registry: FakeRegistry, answer: Any, kind: type[RegistryError], sentence: str
) -> None:
    registry.answers[PATH] = answer
    with raises(kind, sentence):
        Client(Access(registry.url)).fetch(7)


def test_an_answer_of_a_mebibyte_is_taken(registry: FakeRegistry) -> None:
    body = b'{"schema": "' + b"x" * ((1 << 20) - 14) + b'"}'
    registry.answers[PATH] = Scripted(body)
    assert len(Client(Access(registry.url)).fetch(7).text) == len(body) - 14


def test_a_decompression_bomb_is_not_decompressed(registry: FakeRegistry) -> None:
    registry.answers[PATH] = Scripted(gzip.compress(b"0" * 50_000_000), headers={"Content-Encoding": "gzip"})
    with raises(Refuses, "is compressed .'gzip'., which was not asked for"):
        Client(Access(registry.url)).fetch(7)
    assert registry.headers[0]["Accept-Encoding"] == "identity"


def test_a_body_that_drips_ends_with_the_time_for_all_of_it(registry: FakeRegistry) -> None:
    registry.answers[PATH] = Scripted(FOUND, promises=1_000, drips=0.1)
    with raises(Away, "has not answered in full within 0.6 s"):
        Client(Access(registry.url), QUICK).fetch(7)


@pytest.mark.parametrize("tail", [b"", b"\r\n\r\n" + b" " * 1_000])
def test_dripping_headers_and_bodies_without_a_length_end_in_time(tail: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (3 if tail else 1_000)
    with Raw(head + tail, drips=True) as raw, raises(Away, "has not answered in full within 0.6 s"):
        Client(Access(raw.url), QUICK).fetch(7)


def test_a_silent_server_is_away() -> None:
    with Raw(b"") as raw, raises(Away, "does not answer in time"):
        Client(Access(raw.url), QUICK).fetch(7)


def test_what_is_no_http_is_said() -> None:
    with Raw(b"\x15\x03\x01\x00\x02\x02\x46\r\n") as raw, raises(Away, "no HTTP .BadStatusLine.; .*_URL"):
        Client(Access(raw.url), QUICK).fetch(7)


def test_nobody_at_the_port_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with raises(Away, "cannot be reached: Connection refused; check MSGMETRICS_SCHEMA_REGISTRY_URL"):
        Client(Access(f"http://127.0.0.1:{port}")).fetch(7)


def test_a_host_without_an_address_is_away() -> None:
    with raises(Away, "its host has no address; check MSGMETRICS_SCHEMA_REGISTRY_URL"):
        Client(Access("http://registry.invalid")).fetch(7)
    with raises(Away, "check MSGMETRICS_SCHEMA_REGISTRY_URL"):
        Client(Access(f"http://{'x' * 64}.invalid")).fetch(7)


def test_tls_believes_the_authority_of_the_setting_only(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.answers[PATH] = FOUND
    authority, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    with TlsFront(authority.issue("registry"), registry.port) as front:
        url = f"https://127.0.0.1:{front.port}"
        assert Client(Access(url, token="t0ken", cafile=str(authority.cafile))).fetch(7).text == "it"
        for cafile in (str(other.cafile), ""):
            with raises(Away, "not trusted: .*; set MSGMETRICS_SCHEMA_REGISTRY_CAFILE"):
                Client(Access(url, token="t0ken", cafile=cafile)).fetch(7)
        with raises(Away, "not trusted: .*doesn't match|not trusted: .*mismatch"):  # 127.1 is 127.0.0.1 by another name
            Client(Access(f"https://127.1:{front.port}", token="t0ken", cafile=str(authority.cafile))).fetch(7)
    assert registry.asked == [PATH]


def test_a_drip_behind_tls_ends_in_time_too(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.answers[PATH] = Scripted(FOUND, promises=1_000, drips=0.1)
    authority = Authority(tmp_path)
    with TlsFront(authority.issue("registry"), registry.port) as front:
        access = Access(f"https://127.0.0.1:{front.port}", cafile=str(authority.cafile))
        with raises(Away, "has not answered in full within 0.6 s"):
            Client(access, QUICK).fetch(7)


def test_https_at_a_port_of_http_is_said(registry: FakeRegistry) -> None:
    with raises(Away, "cannot be asked over TLS: .*is it https"):
        Client(Access(registry.url.replace("http:", "https:"))).fetch(7)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    cafile = tmp_path / "ca.pem"
    if content:
        cafile.write_text(content)
    with raises(Refuses, f"cannot be read from {cafile}: .*; set MSGMETRICS_SCHEMA_REGISTRY_CAFILE"):
        Client(Access("https://127.0.0.1:9", cafile=str(cafile))).fetch(7)
