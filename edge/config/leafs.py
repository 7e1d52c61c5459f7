"""``leafnodes``: the hubs this edge connects to."""

from edge.config.fields import Fields
from edge.config.leaf_remotes import read_remotes
from edge.config.options import LeafNodes

SECOND_DEFAULT = LeafNodes().reconnect_ns

REFUSED = {
    **dict.fromkeys(("listen", "port", "host", "net", "authorization"), "an edge connects to hubs, none to it"),
    "tls": "leaf connections are not encrypted yet",
}
IGNORED = (
    *("advertise", "leafnode_advertise", "no_advertise", "min_version", "minimum_version", "compression"),
    *("isolate_leafnode_interest", "isolate", "write_deadline", "write_timeout"),
)


def read_leafnodes(block: Fields) -> LeafNodes:
    dial_timeout_ns = block.duration_ns("dial_timeout", default=SECOND_DEFAULT)
    reconnect_ns = block.duration_ns("reconnect", "reconnect_delay", "reconnect_interval", default=SECOND_DEFAULT)
    remotes = read_remotes(block.items("remotes") or [], dial_timeout_ns, block.warnings)
    block.finish(REFUSED, IGNORED)
    return LeafNodes(remotes, reconnect_ns or SECOND_DEFAULT)
