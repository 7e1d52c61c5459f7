"""``commands``, a block of ours: what the hub sends to be kept and done here.

    commands { hub_domain: hub, stream: COMMANDS, parallel: 1, timeout: "60s", keep: 1000, max_bytes: 64MB }
"""

from edge.config.fields import Fields, fail
from edge.config.options import Commands, Downlink
from edge.subjects import is_literal

MAX_PARALLEL = 1000
MAX_KEEP = 100_000


def read_downlink(top: Fields) -> Downlink | None:
    """None: nothing of it is configured."""
    commands = top.inner("commands")
    if commands is None:
        return None
    return Downlink(commands=_commands(commands))


def _commands(block: Fields) -> Commands:
    default = Commands("")
    commands = Commands(
        hub_domain=_hub_domain(block),
        stream=block.string("stream", default=default.stream),
        parallel=block.integer("parallel", lowest=1, highest=MAX_PARALLEL, default=default.parallel),
        timeout_ns=block.duration_ns("timeout", default=default.timeout_ns),
        keep=block.integer("keep", lowest=0, highest=MAX_KEEP, default=default.keep),
        max_bytes=block.size_bytes("max_bytes", default=default.max_bytes),
    )
    block.finish()
    _token(block, "stream", commands.stream)
    if not commands.timeout_ns:
        fail(block.place("timeout"), "timeout: expected longer than nothing")
    if commands.max_bytes <= 0:
        fail(block.place("max_bytes"), "max_bytes: expected a size above 0")
    return commands


def _hub_domain(block: Fields) -> str:
    domain = block.string("hub_domain", default="")
    if not domain:
        fail(block.place("hub_domain"), f"{block.noun}: expected hub_domain, the JetStream domain of the hub")
    _token(block, "hub_domain", domain)
    return domain


def _token(block: Fields, key: str, value: str) -> None:
    if "." in value or not is_literal(value):
        fail(block.place(key), f"{key}: expected a name without dots, spaces and wildcards, found {value!r}")
