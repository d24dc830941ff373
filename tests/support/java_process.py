"""A Java server of the tests: ended in order, or killed."""

import signal
import subprocess

STOP_SECONDS = 30
"""As Kubernetes has it."""


class JavaProcess:
    """The process of a server that may be started again. Only what it started itself is ended."""

    _process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """Shut down in order; what does not come to an end is killed, as any supervisor would."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._tell_why()
            self.kill()

    def _tell_why(self) -> None:
        """Called for a process that does not come to an end, before it is killed."""

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
