"""A door between the API and its ClickHouse that a test can shut and open again."""

import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit

from tests.support.pump import pump


class Gate:
    """Forwards connections to a server while it is open; while shut it refuses new ones and has cut the old."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 0)
        self._path = parts.path
        self._port = 0
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{self._path}"

    def __enter__(self) -> "Gate":
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.shut()

    def open(self) -> None:
        """Let connections through, at the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Cut everything."""
        listener, self._listener = self._listener, None
        connections, self._open = self._open, []
        for one in (*connections, *([listener] if listener else [])):
            cut(one)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=pump, args=(source, sink), daemon=True).start()


def cut(connection: socket.socket) -> None:
    """Close a socket under a thread that waits on it: closing alone would not wake the thread."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.close()
