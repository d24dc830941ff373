"""One answer for each request and in their order, whatever comes before, between and behind them on a connection."""

import socket

import pytest

import api.protocol
from api.protocol import MAX_OVERHEAD_BYTES, REQUEST_SECONDS
from api.server import KEEP_ALIVE_SECONDS
from tests.support.serving import Site, ask, connect_to, let_pass, paths, read_all, statuses, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
HELD = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
LONG_SECONDS = 2 * (REQUEST_SECONDS + KEEP_ALIVE_SECONDS)


def test_answers_come_in_the_order_of_their_requests_upgrades_or_not(site: Site) -> None:
    wanted = [f"/{n}" for n in range(40)]
    some = [f"GET {path} HTTP/1.1\r\nHost: x\r\n".encode() for path in wanted]
    requests = [head + (UPGRADE if n % 3 else b"") + b"\r\n" for n, head in enumerate(some)]
    assert paths(ask(site, b"".join(requests) + CLOSE)) == [*wanted, "/last"]


def test_any_number_of_complete_requests_may_be_sent_at_once_and_few_of_them_wait_in_memory(site: Site) -> None:
    wanted = [f"/{n:04}" for n in range(4_000)]
    requests = b"".join(f"GET {path} HTTP/1.1\r\nHost: {'x' * 50}\r\n\r\n".encode() for path in wanted)
    assert len(requests) > 3 * MAX_OVERHEAD_BYTES
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(HELD)
        until(lambda: site.held == 1)
        connection.sendall(requests + CLOSE)
        site.release()
        answer = read_all(connection)
    assert paths(answer) == ["/held", *wanted, "/last"]
    assert 0 < site.longest_queue < 200


def test_a_client_that_closes_its_direction_gets_the_answers_to_what_it_sent(site: Site) -> None:
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(GET + b"\r\n" + GET.replace(b"/", b"/2", 1) + b"\r\n" + GET)
        connection.shutdown(socket.SHUT_WR)
        assert paths(read_all(connection)) == ["/", "/2"]


def test_it_gets_an_answer_that_takes_longer_than_its_closing(site: Site) -> None:
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(HELD)
        connection.shutdown(socket.SHUT_WR)
        until(lambda: site.held == 1)
        assert paths(ask(site, CLOSE)) == ["/last"]  # by now the server has seen the end of the other
        site.release()
        assert paths(read_all(connection)) == ["/held"]


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", GET + b"A: " + b"b" * 200_000])
def test_a_refusal_overtakes_no_answer_and_is_not_taken_for_one(site: Site, garbage: bytes) -> None:
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(HELD)
        until(lambda: site.held == 1)
        connection.sendall(garbage)
        site.release()
        answer = read_all(connection)
    assert (statuses(answer)[0], paths(answer)) == (200, ["/held"])
    assert statuses(answer)[1:] in ([], [400], [431])


@pytest.mark.parametrize("line", [b"CONNECT / HTTP/1.1", b"POST / HTTP/2.0"])
def test_headers_that_were_right_in_one_request_can_be_wrong_in_the_next(site: Site, line: bytes) -> None:
    more = b"\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    assert statuses(ask(site, b"POST / HTTP/1.1" + more + line + more)) in ([200], [200, 400])
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(b"POST / HTTP/1.1" + more)
        assert statuses(connection.recv(65_536)) == [200]
        connection.sendall(line + more)
        assert statuses(read_all(connection)) == [400]


def test_when_all_connections_are_being_answered_it_is_the_newest_that_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: not site.connections)
    monkeypatch.setattr(api.protocol, "MAX_CONNECTIONS", 2)
    with connect_to(site.server.bound_port) as one, connect_to(site.server.bound_port) as other:
        for connection in (one, other):
            connection.sendall(HELD)
        until(lambda: site.held == 2)
        assert statuses(ask(site, b"")) == [503]
        site.release()
        assert b"/held" in one.recv(65_536)
        assert b"/held" in other.recv(65_536)


@pytest.mark.parametrize("whole", [1, 2])
def test_deadlines_and_idleness_count_only_while_it_is_the_clients_turn(site: Site, whole: int) -> None:
    """A head of which a part has come: with two requests before it the server does not read on, with one it does."""
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(HELD * whole + HELD[:10])
        for nth in range(1, whole + 2):
            until(lambda count=nth: site.held == count)  # type: ignore[misc]
            if whole > 1 or nth > 1:
                let_pass(site.server, LONG_SECONDS)
            site.release()
            assert statuses(connection.recv(65_536)) == [200]
            if nth == 1:
                connection.sendall(HELD[10:])


def test_a_request_that_has_begun_is_no_idleness(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.protocol, "REQUEST_SECONDS", 2 * LONG_SECONDS)
    with connect_to(site.server.bound_port) as connection:
        connection.sendall(GET + b"\r\n")
        assert statuses(connection.recv(65_536)) == [200]
        connection.sendall(GET)
        let_pass(site.server, LONG_SECONDS)
        connection.sendall(b"\r\n")
        assert statuses(connection.recv(65_536)) == [200]
