"""Where to listen: ``listen: "host:port"``, ``listen: port``, or ``host`` and ``port`` apart."""

from edge.config.fields import Fields, fail, wrong
from edge.config.options import Listen
from edge.config.parser import Entry

MAX_PORT = 65535


def read_listen(fields: Fields, default_port: int) -> Listen:
    """``host`` and ``port`` given apart are the more exact statement: they may repeat ``listen``, not contradict it."""
    host, port = "", default_port
    listen = fields.entry("listen")
    if listen:
        host, port = address(listen, default_port)
    host_entry, port_entry = fields.entry("host", "net"), fields.entry("port")
    if host_entry:
        named = fields.string("host", "net", default="")
        if host and named != host:
            fail(host_entry.place, f"{host_entry.key}: contradicts {listen and listen.key!r}, which says {host!r}")
        host = named
    if port_entry:
        number = port_number(fields.integer("port", lowest=-1, highest=MAX_PORT, default=0), default_port)
        if listen and number != port:
            fail(port_entry.place, f"{port_entry.key}: contradicts {listen.key!r}, which says {port}")
        port = number
    return Listen(host, port)


def address(entry: Entry, default_port: int) -> Listen:
    """``4222``, ``"127.0.0.1:4222"``, ``"[::1]:4222"``; an empty host or ``*`` is every interface."""
    data = entry.value.data
    if isinstance(data, int) and not isinstance(data, bool):
        if not -1 <= data <= MAX_PORT:
            wrong(entry.value, entry.key, f"a port from -1 to {MAX_PORT}")
        return Listen("", port_number(data, default_port))
    if not isinstance(data, str):
        wrong(entry.value, entry.key, 'a port or "host:port"')
    host, colon, port = data.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed):
        wrong(entry.value, entry.key, '"host:port" (or "[address]:port" for IPv6)')
    number = int(port) if port.removeprefix("-").isdecimal() and len(port) < 7 else None
    if number is None or not -1 <= number <= MAX_PORT:
        fail(entry.place, f"{entry.key}: expected a port from -1 to {MAX_PORT}, found {port!r}")
    return Listen(host.strip("[]") if host not in ("", "*") else "0.0.0.0", port_number(number, default_port))


def port_number(written: int, default_port: int) -> int:
    """nats-server writes -1 for a port that the system chooses, and 0 for the usual one."""
    return 0 if written == -1 else written or default_port
