"""Certificates that are good, old, new, of another key, or none."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.config.options import Config, Listen, Mqtt
from edge.core.tls_spec import Tls
from edge.tools.doctor.certificates import check_certificates, validity

Told = Callable[[Any], list[str]]
NOW = datetime.datetime(2027, 1, 15, 8, tzinfo=datetime.UTC)  # as the model's clock has it
DAY = datetime.timedelta(days=1)


def make(folder: Path, begin: datetime.datetime, end: datetime.datetime, name: str = "server") -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge")])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), begin, end)
    (folder / f"{name}.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Tls(cert_file=str(folder / f"{name}.pem"), key_file=str(folder / f"{name}.key"))


@pytest.mark.parametrize(
    ("begin", "end", "found"),
    [
        (NOW - DAY, NOW + 365 * DAY, "OK tls: tls: {}: good until 2028-01-15"),
        (NOW - DAY, NOW + 10 * DAY, "WARN tls: tls: {}: expires on 2027-01-25 -> renew it"),
        (NOW - 9 * DAY, NOW - DAY, "FAIL tls: tls: {}: expired on 2027-01-14 -> renew it"),
        (NOW + DAY, NOW + 90 * DAY, "FAIL tls: tls: {}: not valid before 2027-01-16 -> is the clock right?"),
        (NOW - DAY, NOW + 365 * 60 * DAY, "OK tls: tls: {}: good until 2086-12-31"),  # in the other notation of time
    ],
)
def test_how_long_they_are_good(model: Any, told: Told, tmp_path: Path, begin: Any, end: Any, found: str) -> None:
    tls = make(tmp_path, begin, end)
    (text,) = told(check_certificates(model, Config(tls=tls)))
    assert text.startswith(found.format(tls.cert_file))
    assert validity(tls.cert_file) == (begin.timestamp(), end.timestamp())


def test_every_listener(model: Any, told: Told, tmp_path: Path) -> None:
    one, two = make(tmp_path, NOW - DAY, NOW + 99 * DAY, "one"), make(tmp_path, NOW - DAY, NOW + 99 * DAY, "two")
    tls = one._replace(certificates=((two.cert_file, two.key_file),))
    found = told(check_certificates(model, Config(tls=tls, mqtt=Mqtt(Listen("", 1883), tls=two))))
    assert [each.split(":")[1] for each in found] == [" tls", " tls", " mqtt"]
    assert told(check_certificates(model, Config())) == []


def test_what_does_not_fit(model: Any, told: Told, tmp_path: Path) -> None:
    one, two = make(tmp_path, NOW - DAY, NOW + 99 * DAY, "one"), make(tmp_path, NOW - DAY, NOW + 99 * DAY, "two")

    def check(cert: str, key: str) -> str:
        (text,) = told(check_certificates(model, Config(tls=Tls(cert_file=cert, key_file=key))))
        return text

    assert check(one.cert_file, two.key_file).startswith("FAIL") and "KEY_VALUES_MISMATCH" in check(one.cert_file, two.key_file)
    assert "No such file" in check(str(tmp_path / "none.pem"), one.key_file)
    (tmp_path / "empty.pem").write_text("")
    assert check(str(tmp_path / "empty.pem"), one.key_file).startswith("FAIL")
    assert check(one.key_file, one.key_file).startswith("FAIL")


def test_a_certificate_that_is_cut_short(tmp_path: Path) -> None:
    import base64

    tls = make(tmp_path, NOW - DAY, NOW + DAY)
    der = base64.b64decode("".join(Path(tls.cert_file).read_text().splitlines()[1:-1]))
    for length in range(0, len(der), 7):
        body = base64.b64encode(der[:length]).decode()
        Path(tls.cert_file).write_text(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
        with pytest.raises(ValueError):
            validity(tls.cert_file)
