"""What an object store says of an object, and where it goes here."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

NUID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_NAME = 1024


class ObjectMeta(NamedTuple):
    """``digest``: SHA-256; ``path``: below the folder, empty where the name cannot be one (``fault`` says why)."""

    name: str
    path: str
    nuid: str
    size: int
    digest: bytes
    fault: str = ""


def read_meta(payload: bytes, edge: str) -> ObjectMeta | None:
    """None for what is not for this edge (not ``<edge>/...`` or ``all/...``), is deleted, or only a link."""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, Mapping) or not isinstance(name := fields.get("name"), str):
        return None
    options = fields.get("options")
    if fields.get("deleted") or (isinstance(options, Mapping) and options.get("link")):
        return None
    whose, _, path = name.partition("/")
    if whose not in (edge, "all"):
        return None
    nuid, size, digest = fields.get("nuid"), fields.get("size", 0), _digest(fields.get("digest"))
    fault = path_fault(path)
    if not (isinstance(nuid, str) and NUID.fullmatch(nuid)) or not isinstance(size, int) or size < 0 or digest is None:
        nuid, size, digest, fault = "", 0, b"", fault or "what the hub says of it has no nuid, size or SHA-256 digest"
    return ObjectMeta(name, "" if fault else path, nuid, size, digest, fault)


def deleted_name(payload: bytes) -> str:
    """Of an object that the hub has not any more, or only as a link; empty for anything else."""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(fields, Mapping) or not isinstance(name := fields.get("name"), str):
        return ""
    options = fields.get("options")
    return name if fields.get("deleted") or (isinstance(options, Mapping) and options.get("link")) else ""


def path_fault(path: str) -> str:
    """Why a path cannot be used below the folder; nothing may lead out of it or hide in it."""
    if len(path) > MAX_NAME or not path.isprintable():
        return "its name is too long, or not printable"
    for part in path.split("/"):
        if not part or part.startswith(".") or len(part.encode("utf-8", "replace")) > 250:
            return f"its name leads nowhere here: {part or 'an empty part'!r}"
    return ""


def _digest(text: object) -> bytes | None:
    if not isinstance(text, str) or not text.startswith("SHA-256="):
        return None
    try:
        found = base64.urlsafe_b64decode(text.removeprefix("SHA-256=").rstrip("=") + "=")
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == 32 else None
