"""How a leaf shows a hub who it is (reference: leafnode.md section 1.2)."""

from base64 import urlsafe_b64encode
from typing import NamedTuple


class LeafLogin(NamedTuple):
    """User and password stand in the url; a user alone is a token too.  ``jwt`` goes with the ``seed`` of its user (a
    ``.creds`` file); a ``seed`` alone is an nkey's."""

    user: str = ""
    password: str = ""
    jwt: str = ""
    seed: str = ""

    def fields(self, nonce: str) -> dict[str, object]:
        """Of CONNECT.  ``nonce`` is what the hub's INFO asks to be signed.  ValueError for a seed that is none."""
        fields: dict[str, object] = {}
        if self.seed:
            from edge.core.nkeys import KeyPair  # where there are nkeys

            key = KeyPair.from_seed(self.seed)
            fields["sig"] = urlsafe_b64encode(key.sign(nonce.encode())).decode().rstrip("=")
            fields |= {"jwt": self.jwt} if self.jwt else {"nkey": key.public}
        if self.user:
            fields["user"] = self.user
            fields["pass" if self.password else "auth_token"] = self.password or self.user
        return fields


def read_creds(text: str) -> tuple[str, str]:
    """JWT and seed of a ``.creds`` file, as nsc writes it.  ValueError where one of them is missing."""
    blocks = _blocks(text)
    jwt = next((block for label, block in blocks if "JWT" in label), "")
    seed = next((block for label, block in blocks if "SEED" in label), "")
    if not jwt or not seed:
        raise ValueError("expected a user's JWT and its seed between dashes, as nsc writes them")
    return jwt, seed


def read_seed(text: str) -> str:
    """The first line that is a user's seed, between dashes or bare.  ValueError without one."""
    for line in text.splitlines():
        if line.strip().startswith("SU"):
            return line.strip()
    raise ValueError("expected the seed of a user (SU...)")


def _blocks(text: str) -> list[tuple[str, str]]:
    """(label, content) of each ``-----BEGIN label-----`` ... ``------END label------``."""
    found: list[tuple[str, str]] = []
    label = ""
    lines: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("---") and "BEGIN" in line:
            label, lines = line.strip("- "), []
        elif line.startswith("---") and label:
            found.append((label, "".join(lines)))
            label = ""
        elif label:
            lines.append(line)
    return found
