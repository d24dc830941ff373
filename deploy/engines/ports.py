"""Ports of loopback, for parts that are told where to listen."""

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator

from deploy.errors import Refused


class FreePorts:
    """Gives one port after the other, each process beginning elsewhere.

    They should lie below those that the kernel lends to outgoing connections: such a one could take a port before its
    server listens on it, or while that starts again.
    """

    def __init__(self, ports: range) -> None:
        begin = os.getpid() * 1009 % len(ports)
        self._ports = ports
        self._turns: Iterator[int] = itertools.cycle([*ports[begin:], *ports[:begin]])

    def take(self) -> int:
        """The next one that nobody listens on right now. Raises Refused where there is none."""
        for port in itertools.islice(self._turns, len(self._ports)):
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
        raise Refused(f"no port from {self._ports[0]} to {self._ports[-1]} is free; end what listens on them")
