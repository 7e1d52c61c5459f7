"""``leafnodes``: the hubs this edge connects to, and where smaller edges connect to it."""

from edge.config.compression import read_compression
from edge.config.fields import Fields, fail
from edge.config.leaf_remotes import read_remotes
from edge.config.leaf_users import LeafAccess, read_leaf_access
from edge.config.listen import read_listen
from edge.config.options import LEAF_PORT, LeafListen, LeafNodes
from edge.config.server import WRITE_TIMEOUTS
from edge.config.tls import inner_tls

SECOND_DEFAULT = LeafNodes().reconnect_ns
OLDEST = (2, 8, 0)


def read_leafnodes(block: Fields) -> LeafNodes:
    dial_timeout_ns = block.duration_ns("dial_timeout", default=SECOND_DEFAULT)
    reconnect_ns = block.duration_ns("reconnect", "reconnect_delay", "reconnect_interval", default=SECOND_DEFAULT)
    remotes = read_remotes(block.items("remotes") or [], dial_timeout_ns, block.warnings)
    listen = _listen(block)
    block.finish()
    return LeafNodes(remotes, reconnect_ns or SECOND_DEFAULT, listen)


def _listen(block: Fields) -> LeafListen | None:
    """None without a port, as nats-server has it; the rest is read all the same."""
    inner = block.inner("authorization")
    access = read_leaf_access(inner) if inner else LeafAccess()
    timeout = block.string("write_timeout", default="default")
    if timeout not in WRITE_TIMEOUTS:
        fail(block.place("write_timeout"), f"write_timeout: expected {', '.join(WRITE_TIMEOUTS)}, found {timeout!r}")
    found = LeafListen(
        listen=read_listen(block, LEAF_PORT),
        users=access.users,
        account=access.account,
        timeout_ns=access.timeout_ns,
        tls=inner_tls(block),
        advertise=block.string("advertise", "leafnode_advertise", default=""),
        no_advertise=block.boolean("no_advertise", default=False),
        min_version=_min_version(block),
        compression=read_compression(block),
        isolate=block.boolean("isolate_leafnode_interest", "isolate", default=False),
        write_deadline_ns=block.duration_ns("write_deadline", default=0),
        ends_slow=timeout == "close",
    )
    if block.entry("listen") is None and block.entry("port") is None:
        return None
    if found.tls and not (found.tls.cert_file or found.tls.certificates):
        fail(block.place("tls"), "leafnodes: tls: expected cert_file and key_file")
    return found


def _min_version(block: Fields) -> str:
    version = block.string("min_version", "minimum_version", default="")
    names = ("min_version", "minimum_version")
    parts = version.partition("-")[0].split(".")
    if version and (len(parts) != 3 or not all(part.isdecimal() for part in parts)):
        fail(block.place(*names), f'min_version: expected such as "2.10.0", found {version!r}')
    if version and tuple(map(int, parts)) < OLDEST:
        fail(block.place(*names), "min_version: expected at least 2.8.0")
    return version
