"""What a peer's TLS certificate says of it, once the certificate has been verified."""

from typing import NamedTuple


class PeerCertificate(NamedTuple):
    """``subject`` is its distinguished name as Go writes it (RFC 2253, last attribute first): ``CN=derek,O=Sensors``.

    ``rdns`` are the attributes in the certificate's own order, by OpenSSL's long names.  Digests are lower-case hex
    SHA-256: of the certificate (``der``) and of its public key (both DER).
    """

    subject: str
    rdns: tuple[tuple[tuple[str, str], ...], ...]
    emails: tuple[str, ...]
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    sha256: str
    public_key_sha256: str
    der: bytes = b""
