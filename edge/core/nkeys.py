"""nkeys: Ed25519 keys as text that says what they are for (``U...`` a user, ``A...`` an account, ``O...`` an operator,
``N...`` a server, ``X...`` a curve key, ``S...`` a seed).

The text is base32 of a prefix, the key, and a CRC-16 of both (XMODEM, little end first); a seed has a prefix of two
bytes.  Signing and verifying are PyNaCl's, loaded when somebody signs or verifies.
"""

import base64
import binascii
import struct

PREFIXES = {"O": 14 << 3, "A": 0, "U": 20 << 3, "N": 13 << 3, "C": 2 << 3, "X": 23 << 3}
SEED = 18 << 3
KEY_SIZE = 32


class KeyPair:
    """A seed and what can be done with it."""

    def __init__(self, kind: str, seed: bytes) -> None:
        self.kind = kind
        self.raw = seed

    @staticmethod
    def from_seed(text: str) -> "KeyPair":
        """ValueError for what is no seed."""
        data = _unpack(text)
        if len(data) != KEY_SIZE + 2 or data[0] & 0xF8 != SEED:
            raise ValueError("not a seed")
        prefix = (data[0] & 7) << 5 | data[1] >> 3
        kind = next((kind for kind, known in PREFIXES.items() if known == prefix), "")
        if not kind:
            raise ValueError("a seed of an unknown kind")
        return KeyPair(kind, data[2:])

    @property
    def public(self) -> str:
        if self.kind == "X":
            from nacl.public import PrivateKey

            return encode_public("X", bytes(PrivateKey(self.raw).public_key))
        from nacl.signing import SigningKey

        return encode_public(self.kind, bytes(SigningKey(self.raw).verify_key))

    @property
    def seed(self) -> str:
        prefix = PREFIXES[self.kind]
        return _pack(bytes([SEED | prefix >> 5, (prefix & 31) << 3]) + self.raw)

    def sign(self, message: bytes) -> bytes:
        from nacl.signing import SigningKey

        return bytes(SigningKey(self.raw).sign(message).signature)

    def seal(self, message: bytes, receiver: str) -> bytes:
        """Encrypted to a public curve key: ``xkv1``, nonce, box."""
        from nacl.public import Box, PrivateKey, PublicKey

        box = Box(PrivateKey(self.raw), PublicKey(decode_public(receiver, "X")))
        return b"xkv1" + bytes(box.encrypt(message))

    def open(self, sealed: bytes, sender: str) -> bytes:
        """ValueError for what was not sealed by ``sender`` for us."""
        from nacl.exceptions import CryptoError
        from nacl.public import Box, PrivateKey, PublicKey

        if not sealed.startswith(b"xkv1"):
            raise ValueError("not a sealed message")
        try:
            return bytes(Box(PrivateKey(self.raw), PublicKey(decode_public(sender, "X"))).decrypt(sealed[4:]))
        except CryptoError as exc:
            raise ValueError("cannot be opened") from exc


def encode_public(kind: str, key: bytes) -> str:
    return _pack(bytes([PREFIXES[kind]]) + key)


def decode_public(text: str, kind: str) -> bytes:
    """The 32 bytes of a public key of this kind.  ValueError for anything else."""
    data = _unpack(text)
    if len(data) != KEY_SIZE + 1 or data[0] != PREFIXES[kind]:
        raise ValueError(f"not a public nkey ({kind}...)")
    return data[1:]


def is_public(text: str, kind: str) -> bool:
    try:
        decode_public(text, kind)
    except ValueError:
        return False
    return True


def kind_of(text: str) -> str:
    """The letter of a public key; ValueError for what is none."""
    for kind in PREFIXES:
        if is_public(text, kind):
            return kind
    raise ValueError("not a public nkey")


def verify(text: str, message: bytes, signature: bytes) -> bool:
    """Did the owner of this public key sign ``message``?"""
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    try:
        VerifyKey(decode_public(text, kind_of(text))).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def decode_base64(text: str) -> bytes:
    """Base64 of URLs without padding, or the usual one.  ValueError for neither."""
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)


def _pack(data: bytes) -> str:
    return base64.b32encode(data + struct.pack("<H", binascii.crc_hqx(data, 0))).decode().rstrip("=")


def _unpack(text: str) -> bytes:
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except (ValueError, UnicodeError) as exc:
        raise ValueError("not base32") from exc
    if len(data) < 3 or struct.pack("<H", binascii.crc_hqx(data[:-2], 0)) != data[-2:]:
        raise ValueError("wrong checksum")
    return data[:-2]
