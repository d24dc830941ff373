"""Hands bytes on from one connection to another, for what stands between two processes."""

import contextlib
import socket
from collections.abc import Callable

BLOCK = 1 << 16


def pump(source: socket.socket, target: socket.socket, wait: Callable[[], object] = lambda: None) -> None:
    """Hand bytes on until one side has closed; then both are shut down, which ends the pump of the other direction.

    ``wait`` is called before each block is handed on.
    """
    with contextlib.suppress(OSError):
        while block := source.recv(BLOCK):
            wait()
            target.sendall(block)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
