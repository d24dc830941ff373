"""The broker of `msgmetrics dev` speaks Kafka's protocol alone: it has no password, and a browser speaks another."""

import contextlib
import socket

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, Producer, TopicPartition

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


def test_it_keeps_producers_timestamps_as_topics_do_by_default(broker: MockKafka) -> None:
    broker.create_topic("own-times")
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce("own-times", b"x", partition=0, timestamp=1_000)
    assert producer.flush(10) == 0
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition("own-times", 0, 0)])
        message = consumer.poll(10)
        assert message is not None
        assert message.timestamp() == (TIMESTAMP_CREATE_TIME, 1_000)
    finally:
        consumer.close()
