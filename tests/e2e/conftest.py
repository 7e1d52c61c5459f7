"""What lies between an edge and its hub: a TCP proxy that can be cut, or fall silent.  And who vouches for whom."""

import datetime
import hashlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID


class Proxy:
    """Forwards 127.0.0.1:``port`` to ``target``.  ``cut`` ends all connections and refuses new ones; ``restore``
    lets them in again.  ``silence`` keeps connections open and passes nothing on, like a radio in a tunnel; ``let`` does
    it after so many bytes."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.lock = threading.Lock()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.is_cut = False
        self.passing = threading.Event()
        self.passing.set()
        self.closed = False
        self.passed = 0  # bytes, both ways
        self.limit: int | None = None  # of them
        self.connects = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def cut(self) -> None:
        with self.lock:
            self.is_cut = True
            self._end_all()

    def let(self, size: int) -> None:
        self.limit = self.passed + size
        self.passing.set()

    def restore(self) -> None:
        self.limit = None
        self.passing.set()
        with self.lock:
            self.is_cut = False

    def silence(self) -> None:
        self.passing.clear()

    def has_connected(self, times: int) -> bool:
        return self.connects >= times

    def close(self) -> None:
        self.closed = True
        self.cut()
        self.passing.set()
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept
        for thread in self.threads:
            thread.join()
        self.listener.close()

    def _accept(self) -> None:
        while not self.closed:
            here, _ = self.listener.accept()
            with self.lock:
                if self.is_cut:
                    here.close()
                    continue
            try:
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                here.close()
                continue
            with self.lock:
                self.pairs.append((here, there))
                self.connects += 1
                if self.is_cut:
                    self._end_all()
            for source, sink in ((here, there), (there, here)):
                thread = threading.Thread(target=self._pass_on, args=(source, sink), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(65536):
                if self.limit is not None and self.passed >= self.limit:
                    self.passing.clear()
                self.passing.wait()
                sink.sendall(chunk)
                self.passed += len(chunk)
        except OSError:
            pass
        for end in (source, sink):
            _end(end)

    def _end_all(self) -> None:
        for pair in self.pairs:
            for end in pair:
                _end(end)
        self.pairs.clear()


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()


@pytest.fixture
def make_proxy() -> Iterator[Callable[[int], Proxy]]:
    """``make_proxy(port)``: a proxy in front of 127.0.0.1:port."""
    proxies: list[Proxy] = []

    def make(target: int) -> Proxy:
        proxies.append(Proxy(target))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


# ---- certificates


class Pair(NamedTuple):
    """Files, PEM; ``public_key_sha256`` is what pinned_certs holds."""

    cert: Path
    key: Path
    public_key_sha256: str


class Authority:
    """A certificate authority that makes what is asked of it; ``tls`` writes a block of the configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("authority")
        self.file = self.make("authority", authority=True).cert

    def make(self, name: str, *names: x509.GeneralName, authority: bool = False, stranger: bool = False) -> Pair:
        """A certificate for ``name``, signed by this authority; a ``stranger``'s is signed by nobody else."""
        key = self.key if authority else ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(name) if stranger else self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(key if stranger else self.key, SHA256())
        return self._write(name, certificate, key)

    def server(self, name: str = "server") -> Pair:
        return self.make(name, x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
        files = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public_key = x509.load_der_x509_certificate(certificate.public_bytes(Encoding.DER)).public_key()
        digest = _sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        return Pair(*files, digest)

    def context(self, client: Pair | None = None, **versions: ssl.TLSVersion) -> ssl.SSLContext:
        """A client that trusts this authority."""
        context = ssl.create_default_context(cafile=str(self.file))
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        for name, version in versions.items():
            setattr(context, name, version)
        return context


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CH"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Petiole"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
