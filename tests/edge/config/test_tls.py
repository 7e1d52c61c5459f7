"""``tls`` blocks: what they say, and mistakes in the files that they name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config.options import Config
from edge.core.tls_spec import Tls

Load = Callable[..., Config]
MS = 1_000_000


def block(files: dict[str, Path], more: str = "") -> str:
    return f"tls {{ cert_file: '{files['cert']}', key_file: '{files['key']}'{more} }}"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", {}),
        (", verify: true", {"verify": True}),
        (", verify_and_map: true", {"verify": True, "verify_and_map": True}),
        (", timeout: 1.5", {"timeout_ns": 1500 * MS}),
        (", timeout: '3s'", {"timeout_ns": 3000 * MS}),
        (", timeout: 0", {"timeout_ns": 2000 * MS}),
        (", min_version: '1.3'", {"min_version": "1.3"}),
        (", handshake_first: true", {"handshake_first": True}),
        (", first: off", {}),
        (", immediate: auto", {"handshake_first": True, "handshake_first_fallback_ns": 50 * MS}),
        (", handshake_first: '250ms'", {"handshake_first": True, "handshake_first_fallback_ns": 250 * MS}),
        (", cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", {"cipher_suites": ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",)}),
        (", curve_preferences: [CurveP256, X25519]", {"curve_preferences": ("CurveP256", "X25519")}),
        (", connection_rate_limit: 5, insecure: true", {"connection_rate_limit": 5, "insecure": True}),
        (f", pinned_certs: ['{'AB' * 32}']", {"pinned_certs": frozenset(["ab" * 32])}),
    ],
)
def test_a_block(more: str, expected: dict[str, object], files: dict[str, Path], load: Load) -> None:
    plain = Tls(str(files["cert"]), str(files["key"]), timeout_ns=2000 * MS)
    assert load(block(files, more)).tls == plain._replace(**expected)


def test_every_listener_has_its_own(files: dict[str, Path], load: Load) -> None:
    tls = block(files)
    config = load(f"mqtt {{ port: 1883, {tls} }}\nwebsocket {{ port: 80, {tls} }}")
    assert config.tls is None and config.mqtt and config.mqtt.tls and config.websocket and config.websocket.tls
    assert config.mqtt.tls.cert_file == str(files["cert"])


def test_several_certificates(files: dict[str, Path], load: Load) -> None:
    pair = f"{{cert_file: '{files['cert']}', key_file: '{files['key']}'}}"
    tls = load(f"tls {{ certs: [ {pair}, {pair} ] }}").tls
    assert tls is not None and tls.certificates == ((str(files["cert"]), str(files["key"])),) * 2


def test_a_handshake_takes_its_time_before_connect(files: dict[str, Path], load: Load) -> None:
    assert load("").authorization.timeout_ns == 2000 * MS
    assert load(block(files)).authorization.timeout_ns == 3000 * MS
    assert load(block(files, ", timeout: 4")).authorization.timeout_ns == 5000 * MS
    assert load("authorization { timeout: 9 }\n" + block(files)).authorization.timeout_ns == 9000 * MS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tls { cert_file: '{cert}' }", "tls: cert_file needs a key_file beside it"),
        ("tls { key_file: '{key}' }", "tls: key_file needs a cert_file beside it"),
        ("tls { cert_file: '{folder}/no', key_file: '{key}' }", "tls: cannot read {folder}/no: No such file or directory"),
        ("tls { cert_file: '{cert}', key_file: '{folder}/no' }", "tls: cannot read {folder}/no: No such file or directory"),
        ("tls { cert_file: '{cert}', key_file: '{cert}' }", "tls: {cert} and {cert} are not a certificate and its key: "),
        ("tls { cert_file: '{key}', key_file: '{key}' }", "tls: {key} and {key} are not a certificate and its key: "),
        ("tls { cert_file: '{cert}', key_file: '{locked}' }", "tls: {locked} is encrypted: expected a key without a passphrase"),
        ("tls { cert_file: '{cert}', key_file: '{key}', ca_file: '{key}' }", "tls: {key} holds no certificate: "),
        ("tls { cert_file: '{cert}', key_file: '{key}', bogus: 1 }", "unknown key 'bogus' in tls"),
        ("tls { cert_file: '{cert}', key_file: '{key}', ocsp_peer: true }", "'ocsp_peer' is known to nats-server"),
        ("tls { cert_file: '{cert}', key_file: '{key}', cipher_suites: [AES] }", "cipher_suites: 'AES' is not known: expected some of TLS_AES_128"),
        (
            "tls { cert_file: '{cert}', key_file: '{key}', cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA] }",
            "cipher_suites: TLS_RSA_WITH_AES_128_CBC_SHA is insecure",
        ),
        ("tls { cert_file: '{cert}', key_file: '{key}', min_version: '1.1' }", "min_version: expected \"1.2\" or \"1.3\", found '1.1'"),
        ("tls { cert_file: '{cert}', key_file: '{key}', pinned_certs: [abc] }", "pinned_certs: 'abc' is not the SHA-256 of a public key"),
        ("tls {}", "tls: expected cert_file and key_file"),
        ("mqtt { tls {} }", "mqtt: tls: expected cert_file and key_file"),
        ("https: 8443", "https needs a tls block"),
        ("http: 1\nhttps: 2\ntls { cert_file: '{cert}', key_file: '{key}' }", "http and https exclude each other"),
    ],
)
def test_mistakes(text: str, problem: str, files: dict[str, Path], folder: Path, mistake: Callable[..., str]) -> None:
    names = {name: str(path) for name, path in files.items()} | {"folder": str(folder)}
    for name, path in names.items():
        text, problem = text.replace(f"{{{name}}}", path), problem.replace(f"{{{name}}}", path)
    assert mistake(text).partition(": ")[2].startswith(problem)


def test_flags_stand_for_the_whole_block(files: dict[str, Path], load: Load) -> None:
    flags = ("--tls", "--tlscert", str(files["cert"]), "--tlskey", str(files["key"]))
    assert load("", *flags).tls == Tls(str(files["cert"]), str(files["key"]), timeout_ns=2000 * MS)
    verified = load("", *flags[1:], "--tlsverify", f"--tlscacert={files['cert']}").tls
    assert verified is not None and verified.verify and verified.ca_file == str(files["cert"])
    assert load(block(files), "--tls=false").tls is None


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--tls",), "TLS needs --tlscert and --tlskey"),
        (("--tlsverify", "--tlscert", "x"), "TLS needs --tlscert and --tlskey"),
        (("--tlscert", "/no", "--tlskey", "/no"), "tls: cannot read /no: No such file or directory"),
    ],
)
def test_mistakes_in_flags(flags: tuple[str, ...], problem: str, mistake: Callable[..., str]) -> None:
    assert mistake("port: 4222", *flags) == f"0:0: {problem}"
