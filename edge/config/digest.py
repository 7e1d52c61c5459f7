"""The fingerprint of a configuration, as nats-server takes it: SHA-256 of what was read, as JSON by Go's encoder."""

import sys
from importlib import import_module
from typing import Any

from edge.config.parser import Block, Data


def digest(block: Block) -> str:
    """``sha256:`` and 64 hex digits.  hashlib would bring OpenSSL into a process that encrypts nothing."""
    import json

    text = json.dumps(_plain(block), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    module = import_module("_sha2" if sys.version_info >= (3, 12) else "_sha256")
    return f"sha256:{module.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def _plain(data: Data) -> Any:
    if isinstance(data, Block):
        return {key: _plain(entry.value.data) for key, entry in data.entries.items()}
    if isinstance(data, list):
        return [_plain(item.data) for item in data]
    if isinstance(data, float) and data.is_integer():
        return int(data)
    if isinstance(data, (bool, int, float, str)):
        return data
    return data.strftime("%Y-%m-%dT%H:%M:%SZ")
