import os
from pathlib import Path

import pytest

from edge.core.jwt import ClaimsError, encode
from edge.core.nkeys import KeyPair
from edge.errors import StartError
from edge.net.jwt_directory import DirectoryResolver, JwtDirectory

OPERATOR = KeyPair("O", bytes(32))
A, B = (KeyPair("A", bytes([i]) * 32).public for i in range(2))


def jwt(key: str, issued: int = 1) -> str:
    return encode({"sub": key, "iat": issued, "nats": {"type": "account"}}, OPERATOR)


def test_what_was_saved_is_there(tmp_path: Path) -> None:
    directory = JwtDirectory(str(tmp_path / "deep" / "jwt"))
    assert directory.load(A) == "" and directory.keys() == []
    directory.save(A, jwt(A))
    directory.save(B, jwt(B))
    again = JwtDirectory(directory.path)
    assert again.load(A) == jwt(A) and again.keys() == sorted([A, B]) and again.hash() == directory.hash()
    assert sorted(again.packs()) == sorted([f"{A}|{jwt(A)}", f"{B}|{jwt(B)}"])
    found: list[str] = []
    DirectoryResolver(again).fetch(B, found.append)
    assert found == [jwt(B)]


def test_newer_ones_win(tmp_path: Path) -> None:
    directory = JwtDirectory(str(tmp_path))
    for issued, kept in ((5, 5), (3, 5), (7, 7)):
        directory.save_newer(A, jwt(A, issued))
        assert directory.load(A) == jwt(A, kept)


def test_limit_and_age(tmp_path: Path) -> None:
    directory = JwtDirectory(str(tmp_path), limit=1, ttl_ns=60_000_000_000)
    directory.save(A, jwt(A))
    directory.save(A, jwt(A, 2))
    with pytest.raises(ClaimsError, match="full"):
        directory.save(B, jwt(B))
    os.utime(tmp_path / f"{A}.jwt", (0, 0))
    assert directory.load(A) == ""


@pytest.mark.parametrize("hard", [False, True])
def test_deleting(hard: bool, tmp_path: Path) -> None:
    directory = JwtDirectory(str(tmp_path))
    directory.save(A, jwt(A))
    directory.delete(A, hard)
    assert directory.load(A) == "" and directory.keys() == []
    assert len(list(tmp_path.iterdir())) == (0 if hard else 1)
    with pytest.raises(ClaimsError):
        directory.delete(A, hard)


def test_what_is_no_key_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret.jwt").write_text("x")
    directory = JwtDirectory(str(tmp_path / "jwt"))
    assert directory.load("../secret") == "" and directory.load("") == ""


def test_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StartError, match="cannot keep account JWTs in"):
        JwtDirectory(str(tmp_path / "file" / "jwt"))
