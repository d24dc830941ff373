"""Ports for parts that are told where to listen."""

import socket

import pytest

from deploy.engines.ports import FreePorts
from deploy.errors import Refused

PORTS = range(14_000, 14_008)


def test_each_port_is_given_once_before_any_is_given_again() -> None:
    free = FreePorts(PORTS)
    assert sorted(free.take() for _ in PORTS) == list(PORTS)
    assert free.take() in PORTS


def test_one_that_somebody_listens_on_is_left_out_and_where_there_is_no_other_it_says_so() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", PORTS[0]))
        listener.listen()
        assert PORTS[0] not in {FreePorts(PORTS[:2]).take() for _ in range(4)}
        with pytest.raises(Refused, match="no port from 14000 to 14000 is free; end what listens on them"):
            FreePorts(PORTS[:1]).take()
