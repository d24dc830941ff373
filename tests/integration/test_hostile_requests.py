"""Requests that have no end, and those that lie about their end: through real sockets and the parser."""

import json
from pathlib import Path

import pytest

from api.protocol import MAX_FIELDS, MAX_OVERHEAD_BYTES, PIECE_BYTES
from tests.support.serving import Site, ask, connect_to, flood, paths, read_all, statuses, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
SHORTEST = b"GET / HTTP/1.1\r\nHost:x\r\n\r\n"
HELD = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
FLOOD_BYTES = 20_000_000
MOST_GROWTH = 12_000_000


def memory() -> int:
    """Of this process, which is the server's as well; in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


REFUSED = {
    "folded header": GET + b"A: b\r\n c\r\n\r\n",
    "two lengths": GET + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "length and chunks": GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": GET + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "another coding": GET + b"Transfer-Encoding: identity\r\n\r\n",
    "two codings": GET + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "NUL": GET + b"A: b\0c\r\n\r\n",
    "bare LF": GET + b"A: b\nC: d\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare CR": GET + b"A: b\rC: d\r\n\r\n",
    "blank before a colon": GET + b"A : b\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": GET + b"Host: x\r\n\r\n",
    "no name of a host": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an upgrade's body": b"POST / HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"Content-Length: 4\r\n\r\nbody",
    "an upgrade's chunks": b"POST / HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_once_and_ends_the_connection(site: Site, request_: bytes) -> None:
    answer = ask(site, request_ + CLOSE)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert statuses(answer) == [400]
    assert b"\r\nConnection: close" in head
    assert json.loads(body)["error"]["code"] == "BAD_REQUEST"


ACCEPTED = {
    "HTTP/1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
    "absolute-form": b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "an address": b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: close\r\n\r\n",
    "empty lines before": b"\r\n" * 10 + GET + b"Connection: close\r\n\r\n",
    "extensions": CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + b"1;a=b\r\nx\r\n0;c\r\n\r\n",
    "a body after leave to send it": GET + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
}


@pytest.mark.parametrize("request_", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_unusual_but_plain_is_answered_once(site: Site, request_: bytes) -> None:
    answer = ask(site, request_)
    assert (statuses(answer), paths(answer)) == ([200], ["/"])
    assert b"\r\nconnection: close\r\n" in answer


def test_trailers_are_no_headers_of_this_request_or_the_next(site: Site) -> None:
    trailers = b"0\r\nAuthorization: Bearer key\r\nX-Last: 1\r\n\r\n"
    answer = ask(site, CHUNKED + trailers + CHUNKED + b"1\r\nx\r\n" + trailers + CLOSE)
    assert statuses(answer) == [200, 200, 200]
    assert b"authorization" not in answer
    assert b"x-last" not in answer


ENDLESS = {
    "a trailer": (CHUNKED + b"0\r\nA: ", b"b" * 4096),
    "trailers": (CHUNKED + b"0\r\n", b"a:\r\n" * 1024),
    "an extension": (CHUNKED + b"1;a=", b"b" * 4096),
    "a chunk's size": (CHUNKED, b"0" * 4096),
    "tiny chunks": (CHUNKED, b"1\r\nx\r\n" * 700),
    "empty lines before": (b"", b"\r\n" * 2048),
    "empty lines behind": (GET + b"\r\n", b"\r\n" * 2048),
    "a path": (b"GET /", b"p" * 4096),
    "a header": (GET + b"A: ", b"b" * 4096),
    "headers": (GET, b"a:\r\n" * 1024),
}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
def test_whatever_has_no_end_is_cut_off_and_kept_nowhere(site: Site, begin: bytes, more: bytes) -> None:
    before = memory()
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(begin)
        ended = flood(connection, more, FLOOD_BYTES)
    assert ended.sent < FLOOD_BYTES, "it was closed"
    assert memory() - before < MOST_GROWTH
    assert len(statuses(ended.answer)) <= 1


def test_the_limit_is_kept_to_within_a_piece_and_a_refusal_says_so(site: Site) -> None:
    for excess, status in ((-3 * PIECE_BYTES, 200), (PIECE_BYTES, 431)):
        head = GET + b"Connection: close\r\nA: " + b"b" * (MAX_OVERHEAD_BYTES + excess) + b"\r\n\r\n"
        assert statuses(ask(site, head)) == [status]
    for fields, status in ((MAX_FIELDS - 3, 200), (MAX_FIELDS + PIECE_BYTES // 4, 431)):
        assert statuses(ask(site, GET + b"Connection: close\r\n" + b"a:\r\n" * fields + b"\r\n")) == [status]


@pytest.mark.parametrize("head", [GET + b"Content-Length: 300000\r\n\r\n", CHUNKED + b"493E0\r\n"])
def test_a_body_is_dropped_and_counts_for_nothing(site: Site, head: bytes) -> None:
    end = b"" if b"Length" in head else b"\r\n0\r\n\r\n"
    assert paths(ask(site, head + b"b" * 300_000 + end + CLOSE)) == ["/", "/last"]


def test_trailers_without_end_fill_no_memory_while_their_request_is_being_answered(site: Site) -> None:
    before = memory()
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(CHUNKED.replace(b"/", b"/held", 1) + b"0\r\n")
        until(lambda: site.held == 1)
        for _ in range(FLOOD_BYTES // 4096):
            connection.sendall(b"a:\r\n" * 1024)
        assert memory() - before < MOST_GROWTH
        site.release()
        assert statuses(read_all(connection)) == [200]


def test_requests_without_end_wait_in_the_network_not_in_memory(site: Site) -> None:
    before = memory()
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(HELD)
        until(lambda: site.held == 1)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            flood(connection, SHORTEST * 2_000, 1_000_000_000)
        assert 0 < max(len(each.pipeline) for each in site.connections) < 200
        assert memory() - before < MOST_GROWTH
    site.release()
