"""Which heads are believed. Members of the same kinds go through the real parser in tests/integration."""

import pytest

from api.head import CODING, HOST, UPGRADE, VERSION, fault

ONE = (b"host", b"x")


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "3.0", ""])
def test_other_versions_are_refused(version: str) -> None:
    assert fault(version, [ONE], False) == VERSION


@pytest.mark.parametrize(
    "host",
    [
        "x",
        "x:80",
        "a-b.c_d.example:65535",
        "127.0.0.1:8080",
        "[::1]",
        "[2001:db8::1]:443",
        "xn--bcher-kva.example",
        "",
        "x:",
    ],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_name_or_an_address_with_or_without_a_port_is_a_host(host: str, version: str) -> None:
    assert fault(version, [(b"accept", b"*/*"), (b"host", host.encode() + b" \t")], False) is None


@pytest.mark.parametrize(
    "host",
    [
        "x y",
        "x,y",
        "x/y",
        "http://x",
        "me@x",
        "x:80:80",
        "x:port",
        "x:123456",
        "[::1",
        "::1",
        "[x]",
        "x\\y",
        "x?y",
        "x#y",
        "é",
        "x\0",
    ],
)
def test_anything_else_is_none(host: str) -> None:
    assert fault("1.1", [(b"host", host.encode())], False) == HOST


def test_one_host_is_needed_and_only_http_1_0_may_lack_it() -> None:
    assert fault("1.1", [], False) == HOST
    assert fault("1.0", [], False) is None
    for version in ("1.1", "1.0"):
        assert fault(version, [ONE, ONE], False) == HOST


@pytest.mark.parametrize("coding", [b"identity", b"gzip", b"gzip, chunked", b"chunked, chunked", b"xchunked", b""])
def test_a_body_ends_by_chunks_or_by_its_length(coding: bytes) -> None:
    assert fault("1.1", [ONE, (b"transfer-encoding", coding)], False) == CODING
    assert fault("1.1", [ONE, (b"transfer-encoding", b"Chunked ")], False) is None
    assert fault("1.1", [ONE, (b"content-length", b"10")], False) is None


def test_http_1_0_has_no_chunks_and_a_coding_is_named_once() -> None:
    assert fault("1.0", [ONE, (b"transfer-encoding", b"chunked")], False) == CODING
    assert fault("1.1", [ONE, *[(b"transfer-encoding", b"chunked")] * 2], False) == CODING


@pytest.mark.parametrize("header", [(b"content-length", b"4"), (b"transfer-encoding", b"chunked")])
def test_a_request_whose_body_is_not_read_has_none(header: tuple[bytes, bytes]) -> None:
    assert fault("1.1", [ONE, header], True) == UPGRADE
    assert fault("1.1", [ONE, header], False) is None
    assert fault("1.1", [ONE, (b"content-length", b"0")], True) is None
