"""JSON as nats-server's Go writes it: what a browser could take for HTML is escaped, as in ``"st.\\u003e"``."""

import json
from collections.abc import Mapping

ESCAPED = "<>&\u2028\u2029"


def dumps(fields: Mapping[str, object], indent: int | None = None) -> bytes:
    separators = (",", ":") if indent is None else None
    text = json.dumps(fields, separators=separators, indent=indent, ensure_ascii=False)
    for char in ESCAPED:  # there is none of it outside of strings
        if char in text:
            text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode("utf-8", "replace")
