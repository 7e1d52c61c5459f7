"""nats-server configuration of a three-node hub on one machine.  Pure: a plan in, text out."""

import json
from dataclasses import dataclass
from pathlib import Path

DOMAIN = "hub"
ACCOUNT = "EDGE"
OPERATOR = "operator"
SYSTEM = "system"
ROUTE = "route"


@dataclass(frozen=True, slots=True)
class HubNode:
    """One nats-server of the cluster and the ports it listens on."""

    name: str
    client_port: int
    cluster_port: int
    leaf_port: int
    leaf_advertise: str | None = None
    """host:port that leafs are told to come to, where that is not the listener itself (NAT, a proxy)."""
    cluster: str = "petiole-hub"
    gateway_port: int | None = None
    """Of a super-cluster: nodes of several clusters, and a gateway at each."""


@dataclass(frozen=True, slots=True)
class Passwords:
    """Secrets of the people and servers; those of the edges are in HubPlan.edges."""

    operator: str
    system: str
    route: str


@dataclass(frozen=True, slots=True)
class HubPlan:
    """Everything that the configuration of the cluster is made from."""

    host: str
    nodes: tuple[HubNode, ...]
    passwords: Passwords
    edges: dict[str, str]
    """Name of an edge, which is also its leaf user -> password."""

    def client_urls(self) -> list[str]:
        return [f"nats://{self.host}:{node.client_port}" for node in self.nodes]

    def leaf_urls(self) -> list[str]:
        return [f"nats://{node.leaf_advertise or f'{self.host}:{node.leaf_port}'}" for node in self.nodes]


def render(plan: HubPlan, node: HubNode, directory: Path) -> str:
    """The configuration file of one node; its store is `directory`/<node name>."""
    others = [peer for peer in plan.nodes if peer is not node and peer.cluster == node.cluster]
    routes = "\n".join(
        f"    {_quoted(f'nats://{ROUTE}:{plan.passwords.route}@127.0.0.1:{peer.cluster_port}')}" for peer in others
    )
    leaf_users = "\n".join(
        f"      {{ user: {_quoted(edge)}, password: {_quoted(password)}, account: {ACCOUNT} }}"
        for edge, password in plan.edges.items()
    )
    advertise = f"\n  advertise: {_quoted(node.leaf_advertise)}" if node.leaf_advertise else ""
    # sync_interval: the three replicas share this machine, so a power cut takes all of them at once: what the
    # hub acknowledges must be on its disk, or an edge would forget readings that nobody has.
    return f"""\
# Written by petiole-hub up; the next one writes it again.
server_name: {_quoted(node.name)}
listen: {_quoted(f"{plan.host}:{node.client_port}")}

jetstream {{
  domain: {DOMAIN}
  store_dir: {_quoted(str(directory / node.name))}
  sync_interval: always
}}

accounts {{
  {ACCOUNT} {{
    jetstream: enabled
    users: [ {{ user: {OPERATOR}, password: {_quoted(plan.passwords.operator)} }} ]
  }}
  SYS {{
    users: [ {{ user: {SYSTEM}, password: {_quoted(plan.passwords.system)} }} ]
  }}
}}
system_account: SYS

cluster {{
  name: {_quoted(node.cluster)}
  listen: {_quoted(f"127.0.0.1:{node.cluster_port}")}
  authorization {{ user: {ROUTE}, password: {_quoted(plan.passwords.route)} }}
  routes: [
{routes}
  ]
}}
{_gateway(plan, node)}
leafnodes {{
  # Edges talk with the hub; else each would be told what every other one wants: of a thousand edges, millions of lines.
  isolate_leafnode_interest: true
  listen: {_quoted(f"{plan.host}:{node.leaf_port}")}{advertise}
  authorization {{
    users: [
{leaf_users}
    ]
  }}
}}
"""


def _gateway(plan: HubPlan, node: HubNode) -> str:
    """Each node reaches every cluster by any of its nodes."""
    if node.gateway_port is None:
        return ""
    clusters = "\n".join(
        f"    {{ name: {_quoted(name)}, urls: [ {', '.join(map(_quoted, urls))} ] }}"
        for name, urls in _gateways(plan).items()
    )
    return f"""
gateway {{
  name: {_quoted(node.cluster)}
  listen: {_quoted(f"127.0.0.1:{node.gateway_port}")}
  authorization {{ user: {ROUTE}, password: {_quoted(plan.passwords.route)} }}
  gateways: [
{clusters}
  ]
}}
"""


def _gateways(plan: HubPlan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in plan.nodes:
        url = f"nats://{ROUTE}:{plan.passwords.route}@127.0.0.1:{node.gateway_port}"
        found.setdefault(node.cluster, []).append(url)
    return found


def leaf_block(plan: HubPlan, edge: str) -> str:
    """The part of an edge's configuration that joins it to this hub and sends its telemetry up."""
    return f"{_remote(plan, edge)}uplink {{\n{_uplink(edge, 'TELEMETRY', 'telemetry')}}}\n"


def edge_block(plan: HubPlan, edge: str, with_files: bool) -> str:
    """The same with all that comes down: commands, state, and where they are wanted files."""
    files = f'files    {{ hub_domain: {DOMAIN}, dir: "/var/lib/petiole/files" }}\n' if with_files else ""
    return f"""\
{_remote(plan, edge)}uplink {{
{_uplink(edge, "TELEMETRY", "telemetry")}{_uplink(edge, "RESULTS", "results")}}}
commands {{ hub_domain: {DOMAIN} }}
desired  {{ hub_domain: {DOMAIN} }}
reported {{ bucket: REPORTED }}
{files}"""


def _uplink(edge: str, stream: str, subject: str) -> str:
    subjects = _quoted(f"{subject}.{edge}.>")
    return f"  {stream}: {{ subjects: [{subjects}], hub_domain: {DOMAIN}, hub_stream: {stream} }}\n"


def _remote(plan: HubPlan, edge: str) -> str:
    credentials = f"nats://{edge}:{plan.edges[edge]}@"
    urls = "\n".join(f"      {_quoted(url.replace('nats://', credentials, 1))}" for url in plan.leaf_urls())
    return f"""\
server_name: {_quoted(edge)}
jetstream {{ domain: {_quoted(edge)} }}
leafnodes {{
  remotes: [ {{
    urls: [
{urls}
    ]
  }} ]
}}
"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
