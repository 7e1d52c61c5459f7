import base64
import hashlib
import json

import pytest

from edge.downlink.object_meta import deleted_name, read_meta

DIGEST = hashlib.sha256(b"x").digest()


def meta(**fields):
    digest = "SHA-256=" + base64.urlsafe_b64encode(DIGEST).decode()
    known = {"name": "e1/a/b", "nuid": "N1", "size": 1, "chunks": 1, "digest": digest, "bucket": "FILES"}
    return json.dumps(known | fields).encode()


def test_a_file_of_ours():
    assert read_meta(meta(), "e1") == ("e1/a/b", "a/b", "N1", 1, DIGEST, "")
    assert read_meta(meta(name="all/x"), "e1").path == "x"


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"[]", b"[" * 100_000, b'{"name": 3}', meta(name="e2/a"), meta(name="a"), meta(deleted=True),
        meta(options={"link": {"bucket": "B"}}),
    ],
)  # fmt: skip
def test_what_is_not_for_us(payload):
    assert read_meta(payload, "e1") is None


def test_what_is_deleted():
    assert deleted_name(meta(name="e1/a", deleted=True)) == "e1/a"
    assert deleted_name(meta(name="e1/a", options={"link": {"bucket": "B"}})) == "e1/a"
    assert [deleted_name(payload) for payload in (meta(name="e1/a"), b"", b"[]", b"{}", b"[" * 100_000)] == [""] * 5


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".hidden", ".petiole-parts/x", "a/", "x" * 251, "a\nb", "a\0b"]
)
def test_names_that_lead_nowhere(path):
    found = read_meta(meta(name=f"e1/{path}"), "e1")
    assert (found.path, bool(found.fault)) == ("", True)


@pytest.mark.parametrize(
    "fields",
    [{"nuid": "../x"}, {"nuid": None}, {"size": -1}, {"size": "1"}, {"digest": None}, {"digest": "SHA-256=AA"}, {"digest": "MD5=AA"}],
)
def test_descriptions_that_are_none(fields):
    assert "no nuid, size or SHA-256 digest" in read_meta(meta(**fields), "e1").fault
