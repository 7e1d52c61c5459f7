"""Certificates of the listeners: do they fit their keys, and how long are they good for?"""

import os
import re
import ssl
import time
from calendar import timegm
from collections.abc import Iterator

from edge.config.options import Config
from edge.core.tls_spec import Tls
from edge.tools.doctor.finding import Finding, fail, ok, warn
from edge.tools.doctor.machine import Machine

CHECK = "tls"
SOON_S = 30 * 86400
RENEW = "renew it, then systemctl reload petiole-edge"


def check_certificates(machine: Machine, config: Config) -> Iterator[Finding]:
    blocks = [
        ("tls", config.tls),
        ("mqtt", config.mqtt.tls if config.mqtt else None),
        ("websocket", config.websocket.tls if config.websocket else None),
    ]
    for name, tls in blocks:
        for certificate, key in _pairs(tls) if tls else ():
            yield _check(f"{name}: {certificate}", certificate, key, machine.wall())


def _pairs(tls: Tls) -> list[tuple[str, str]]:
    return [*([(tls.cert_file, tls.key_file)] if tls.cert_file else []), *tls.certificates]


def _check(what: str, certificate: str, key: str, now: float) -> Finding:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key or None, password="")
        begin, end = validity(certificate)
    except PermissionError:
        who = certificate if not os.access(certificate, os.R_OK) else key
        return warn(CHECK, f"{who} cannot be read by this user", "run doctor as root (sudo)")
    except ssl.SSLError as exc:
        return fail(CHECK, f"{what} and {key}: {exc.reason or exc}", "give a PEM certificate and its own key")
    except (OSError, ValueError) as exc:
        return fail(CHECK, f"{what}: {getattr(exc, 'strerror', None) or exc}", "give a PEM certificate and its key")
    first, day = (time.strftime("%Y-%m-%d", time.gmtime(moment)) for moment in (begin, end))
    if now >= end:
        return fail(CHECK, f"{what}: expired on {day}", RENEW)
    if now < begin:
        return fail(CHECK, f"{what}: not valid before {first}", "is the clock right?")
    if end - now < SOON_S:
        return warn(CHECK, f"{what}: expires on {day}", RENEW)
    return ok(CHECK, f"{what}: good until {day}")


def validity(path: str) -> tuple[float, float]:
    """Of the first certificate in a PEM file.  The standard library tells it of a peer's only.  ValueError."""
    with open(path, encoding="ascii", errors="replace") as file:
        found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", file.read(), re.DOTALL)
    if not found:
        raise ValueError("there is no certificate in it")
    der = ssl.PEM_cert_to_DER_cert(found.group())
    # Certificate { tbs { [0] version, serial, algorithm, issuer, validity { from, to }, ... } }
    _, tbs, _ = _element(der, _element(der, 0)[1])
    at = tbs
    tag, _, end = _element(der, at)
    if tag == 0xA0:
        at = end
    for _ in range(3):
        at = _element(der, at)[2]
    begin = _element(der, at)[1]
    return _time(der, begin), _time(der, _element(der, begin)[2])


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Its tag, where its content begins, and where it ends."""
    tag, length, content = *der[at : at + 2].ljust(2), at + 2
    if length & 0x80:
        size = length & 0x7F
        length, content = int.from_bytes(der[content : content + size]), content + size
    if content + length > len(der):
        raise ValueError("the certificate is cut short")
    return tag, content, content + length


def _time(der: bytes, at: int) -> float:
    """UTCTime (two digits for the year: 1950-2049) or GeneralizedTime."""
    tag, begin, end = _element(der, at)
    text = der[begin:end].decode("ascii", "replace").removesuffix("Z")
    if tag == 0x17:
        text = ("19" if text[:2] >= "50" else "20") + text
    return timegm(time.strptime(text, "%Y%m%d%H%M%S"))
