"""The broker of `msgmetrics dev` speaks Kafka's protocol alone: it has no password, and a browser speaks another."""

import contextlib
import socket

import pytest

from deploy.engines.mock_kafka import MockKafka


@pytest.fixture(scope="module")
def broker() -> MockKafka:
    return MockKafka()


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PUT", "HEAD"])
def test_what_begins_like_a_browsers_request_is_cut_off_unread(method: str, broker: MockKafka) -> None:
    """Kafka's first four bytes are a length: letters are one above all limits, whatever the page lets follow."""
    host, _, port = broker.bootstrap.rpartition(":")
    browser = socket.create_connection((host, int(port)), timeout=10)
    with browser, contextlib.suppress(ConnectionError):  # it is cut while bytes are under way
        browser.sendall(f"{method} / HTTP/1.1\r\nHost: {broker.bootstrap}\r\n\r\n".encode() + bytes(100_000))
        assert browser.recv(1) == b""
    broker.check(10)
