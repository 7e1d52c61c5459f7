"""What others are told to connect to."""

import socket

ANYWHERE = ("", "0.0.0.0", "::")
FAR = ("192.0.2.1", 9)  # no packet goes there: only the way is looked up


def advertised(said: str, host: str, port: int) -> tuple[str, int]:
    """``said``: ``host:port`` or a host, as the configuration has it; empty: where it listens."""
    if said:
        before, colon, after = said.rpartition(":")
        if colon and after.isdecimal() and (":" not in before or before.startswith("[")):
            return before.strip("[]"), int(after)
        return said.strip("[]"), port
    return (own_address() or host if host in ANYWHERE else host), port


def own_address() -> str:
    """That by which this machine reaches others; empty where it has no way to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(FAR)
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
