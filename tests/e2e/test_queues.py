"""Queues, imports, mappings and traces over a leaf link.  The hub is a real nats-server; the same scripts run with our
leaf and with the real one, and everybody hears the same."""

from typing import Any

import pytest

from tests.conftest import free_port
from tests.e2e.transcript import LeafCast, assert_same

HUB = """
listen: 127.0.0.1:-1
server_name: HUB
accounts {{
  H {{ users: [{{user: h, password: h}}, {{user: h2, password: h2}}, {{user: hl, password: hl}}] }}
  G {{ users: [{{user: hg, password: hg}}, {{user: hgl, password: hgl}}] }}
}}
leafnodes {{ listen: 127.0.0.1:{port} }}
"""
LEAF = """
listen: 127.0.0.1:-1
server_name: LEAF
leafnodes {{ reconnect: "0.1s", remotes: [
  {{ url: "nats-leaf://hl:hl@127.0.0.1:{port}", account: B }}, {{ url: "nats-leaf://hgl:hgl@127.0.0.1:{port}", account: D }} ] }}
accounts {{
  A {{ users: [{{user: a, password: a}}, {{user: a2, password: a2}}]
      exports: [{{stream: "st.>"}}, {{service: "svc.*"}}, {{service: "tr.*", allow_trace: true}}]
      imports: [{{service: {{account: B, subject: "hub.svc"}}}}, {{stream: {{account: B, subject: "cmd.>"}}, prefix: fromhub}}] }}
  B {{ users: [{{user: b, password: b}}, {{user: b2, password: b2}}]
      imports: [
        {{stream: {{account: A, subject: "st.>"}}, prefix: edge}}, {{service: {{account: A, subject: "svc.*"}}, to: "ask.*"}},
        {{service: {{account: A, subject: "tr.*"}}}} ]
      exports: [{{service: "hub.svc"}}, {{stream: "cmd.>"}}, {{service: "hub.tr", allow_trace: true}}]
      mappings: {{"m.*": "mapped.$1", "n.*": "n2.$1"}} }}
  D {{ users: [{{user: d, password: d}}]
      imports: [{{service: {{account: B, subject: "hub.svc"}}}}, {{service: {{account: B, subject: "hub.tr"}}}}] }}
}}
"""
USERS = ["h", "h2", "hg", "a", "a2", "b", "b2", "d"]
LINKS = [("h", "b"), ("hg", "d")]
T = "Nats-Trace-Dest: t"
W3C = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SCRIPTS = {
    # queues
    "each queue once, and everybody who is in none": [
        "b: SUB x q1 1", "b: SUB x q2 2", "b2: SUB x 3", "h: pub x = 1", "b2: UNSUB 3", "h: pub x = 2", "b: UNSUB 2",
        "h: SUB me 9", "h: pub x me = 3", "b: answer r", "b: UNSUB 1", "h: pub x me = 4",
    ],
    "who is here goes before who is behind the link": [
        "h: SUB x q 1", "b: SUB x q 1", "b2: SUB x 2", "h2: SUB x 3", *["b: pub x = 1"] * 4, *["h: pub x = 2"] * 4,
    ],
    "members of the hub alone": ["h: SUB x q 1", "h2: SUB y q 1", "b: SUB me 1", "b: pub x me = q", "h: answer r", "b: pub y = q"],
    "queues by wildcards": ["b: SUB x.* q1 1", "b2: SUB x.> q2 2", "h: pub x.1 = 1", "h: pub x.1.2 = 2"],
    "a limited subscription": ["b: SUB x 1", "b: UNSUB 1 2", "h: pub x = 1", "h: pub x = 2", "h: pub x = 3"],
    # what another account exports
    "imported and gone to the hub once": [
        "h: SUB edge.st.> 1", "h: SUB edge.st.1 2", "a: pub st.1 = x", "a: hpub st.1 = k: v = y", "a: pub st.2 me = z",
    ],
    "imported, for a queue of the hub": ["h: SUB edge.st.> q 1", "a: pub st.1 = x"],
    "imported, for both": ["h: SUB edge.st.> 1", "h2: SUB edge.st.> q 1", "a: pub st.1 = x", "b: pub edge.st.1 = y"],
    "the exporter's member goes before the hub's": ["h: SUB edge.st.> q 1", "a: SUB st.> q 1", *["a: pub st.1 = x"] * 5],
    "the importer's member goes before the hub's": ["h: SUB edge.st.> q 1", "b: SUB edge.st.> q 1", *["a: pub st.1 = x"] * 5],
    "the hub asks a service": ["a: SUB svc.x 1", "h: SUB me 1", "h: pub ask.x me = q", "a: answer r", "a: answer again"],
    "the hub asks a service in a queue": ["a: SUB svc.x q 1", "h: SUB me 1", "h: pub ask.x me = q", "a: answer r"],
    "the hub asks, and nobody is there": ["h: SUB me 1", "h: pub ask.x me = q"],
    "the hub cannot say who asks": ["a: SUB svc.x 1", 'h: hpub ask.x me = Nats-Request-Info: {"acc":"H"} = q'],
    "the hub serves": ["h: SUB hub.svc 1", "a: SUB me 1", "a: pub hub.svc me = q", "h: answer r"],
    "the hub serves in a queue": ["h: SUB hub.svc q 1", "a: SUB me 1", "a: pub hub.svc me = q", "h: answer r"],
    "who asks has the name that the hub knows": ["h: SUB hub.svc 1", "d: SUB me 1", "d: pub hub.svc me = q", "h: answer r"],
    "no bridge from hub to hub": ["h: SUB hub.svc 1", "hg: SUB me 1", "hg: pub hub.svc me = q", "d: SUB hub.svc 2", "d: pub hub.svc me = q"],
    "a stream of the hub": [
        "a: SUB fromhub.cmd.> 1", "h: pub cmd.1 = x", "h: pub cmd.2 me = y", "h: hpub cmd.1 = k: v = z", "a: UNSUB 1", "h: pub cmd.1 = x",
    ],
    "a stream of the hub for a queue": ["a: SUB fromhub.cmd.> q 1", "h: pub cmd.1 = x"],
    "a stream of the hub, and of here": ["a: SUB fromhub.cmd.> q 1", "a2: SUB fromhub.cmd.* 2", "h: pub cmd.1 = x", "b: pub cmd.1 = y"],
    # mappings
    "the hub's messages are mapped": ["b: SUB mapped.* 1", "b: SUB m.* 2", "h: pub m.1 = x", "b2: SUB me 3", "h: pub m.1 me = y"],
    "mapped into a queue that the hub does not know": ["b: SUB mapped.* q 1", "h: pub m.1 = x"],
    "mapped on the way to the hub": ["h: SUB mapped.* 1", "h: SUB m.* 2", "b: pub m.1 = x", "h: SUB n2.* q 3", "b: pub n.1 = y"],
    # traces
    "the trace of a message to the hub": ["b: SUB t 9", "h: SUB x 1", "b: SUB x 1", f"b: hpub x = {T} = x", "b: await LEAF", "b: await HUB"],
    "the trace of a message from the hub": ["h: SUB t 9", "b: SUB x 1", f"h: hpub x = {T} = x", "h: await LEAF"],
    "only the trace": ["h: SUB t 9", "b: SUB x 1", f"h: hpub x = {T}; Nats-Trace-Only: true = x", "h: await LEAF"],
    "the trace of a request to the hub": ["d: SUB t 9", "h: SUB hub.tr 1", f"d: hpub hub.tr = {T} = x", "d: await LEAF", 'd: await "name":"HUB"'],
    "the trace of a request from the hub": ["h: SUB t 9", "a: SUB tr.1 1", f"h: hpub tr.1 = {T} = x", 'h: await "cluster":"LEAF"'],
    "the trace of an imported stream": ["a: SUB t 9", "h: SUB edge.st.1 1", f"a: hpub st.1 = {T} = x", "a: await MSG t"],
    "headers of other tracers pass": [
        "h: SUB x 1", "b: SUB x 1", f"b: hpub x = {W3C}; tracestate: a=b = x", f"h: hpub x = {W3C.title()} = x",
        "h: hpub x = X-B3-TraceId: 1; B3: 1-2-1; Uber-Trace-Id: 1:2:3:1 = x",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def sites(module_servers: Any) -> Any:
    """A hub with our leaf, and one with the real leaf."""
    start_edge, start_nats = module_servers
    found = []
    for name, start in (("edge", start_edge), ("nats", start_nats)):
        port = free_port()
        hub = start_nats(HUB.format(port=port), f"hub-of-{name}")
        found.append((hub, start(LEAF.format(port=port), f"leaf-{name}")))
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_the_real_leaf(name: str, sites: Any) -> None:
    assert_same(*(LeafCast(hub, leaf, USERS, LINKS).play(SCRIPTS[name]) for hub, leaf in sites))
