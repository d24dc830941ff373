"""An authority made for one test, certificates of it, and a server that puts TLS in front of a port."""

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.support.pump import pump


@dataclass(frozen=True)
class Identity:
    """Files of one certificate: the chain, its key, and both in one as Kafka wants them."""

    cert: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates for loopback; ``cafile`` is what must be trusted to believe them."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._authority = directory, trustme.CA()
        directory.mkdir(parents=True, exist_ok=True)
        self.cafile = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.cafile))

    def issue(self, name: str) -> Identity:
        """A certificate with this common name, valid for 127.0.0.1 and localhost; the key in PKCS 8."""
        issued = self._authority.issue_cert("127.0.0.1", "localhost", common_name=name)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        identity = Identity(*(self._directory / f"{name}.{kind}.pem" for kind in ("cert", "key", "both")))
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        identity.cert.write_bytes(chain)
        identity.key.write_bytes(secret)
        identity.both.write_bytes(secret + chain)
        return identity


class TlsFront:
    """Ends TLS on a loopback port and hands the bytes on to another one. With ``clients`` a certificate is demanded."""

    def __init__(self, identity: Identity, target_port: int, clients: Path | None = None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(identity.cert, identity.key)
        if clients:
            self._context.load_verify_locations(clients)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "TlsFront":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            secure = self._context.wrap_socket(plain, server_side=True)
        except (ssl.SSLError, OSError):
            self.refused += 1
            plain.close()
            return
        with secure, socket.create_connection(("127.0.0.1", self._target_port)) as behind:
            back = threading.Thread(target=pump, args=(behind, secure), daemon=True)
            back.start()
            pump(secure, behind)
            back.join()
