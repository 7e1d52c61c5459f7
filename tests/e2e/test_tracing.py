"""Messages that are to be traced (``Nats-Trace-Dest``), on our server and on the real one: the way that each tells."""

from typing import Any

import pytest

from tests.e2e.transcript import on_both

CONFIG = """
listen: 127.0.0.1:-1
server_name: S
accounts {
  A { users: [
        {user: a, password: a}, {user: d, password: d, permissions: {subscribe: {deny: "x"}}},
        {user: p, password: p, permissions: {publish: ["x", "t"]}} ]
      exports: [{stream: "st.>"}, {service: "svc.>", allow_trace: true}, {service: "dark"}]
      mappings: { "map.*": "svc.$1", "ms.*": "st.$1", "gone": [{destination: gone, weight: 0}] } }
  B { users: [{user: b, password: b}]
      imports: [
        {stream: {account: A, subject: "st.>"}, prefix: imp, allow_trace: true},
        {service: {account: A, subject: "svc.>"}, to: "ask.>"}, {service: {account: A, subject: dark}} ]
      exports: [{service: "ask.>", allow_trace: true}] }
  C { users: [{user: c, password: c}]
      imports: [{stream: {account: A, subject: "st.>"}}, {service: {account: B, subject: "ask.>"}, to: "third.>"}] }
}
"""
T = "Nats-Trace-Dest: t"
ONLY = f"{T}; Nats-Trace-Only: true"


def traced(user: str, subject: str, *before: str, headers: str = T, where: str = "t") -> list[str]:
    return [f"{user}: SUB {where} 99", *before, f"{user}: hpub {subject} = {headers} = x", f"{user}: await MSG {where}"]


SCRIPTS = {
    "to a queue and to all": traced("a", "x", "a: SUB x 1", "a: SUB x q 2", "a: SUB * 3"),
    "only traced": traced("a", "x", "a: SUB x 1", "a: SUB x q 2", headers=ONLY),
    "yes and no": [
        line for word in ("1", "TRUE", "on", "yes", "0", "false")
        for line in traced("a", "x", "a: SUB x 1", headers=f"{T}; Nats-Trace-Only: {word}")
    ],
    "mapped": traced("a", "ms.1", "a: SUB st.> 1"),
    "mapped into nothing": traced("a", "gone"),
    "mapped and exported": traced("a", "ms.1", "b: SUB imp.> 1"),
    "mapped, exported, and only traced": traced("a", "ms.1", "b: SUB imp.> 1", headers=ONLY),
    "exported to who shows nothing": traced("a", "st.1", "c: SUB st.1 1"),
    "exported to who shows nothing, and only traced": traced("a", "st.1", "c: SUB st.1 1", headers=ONLY),
    "exported for a queue": traced("a", "st.1", "b: SUB imp.st.1 q 2"),
    "a request": [*traced("b", "ask.1 me", "a: SUB svc.1 1", "b: SUB me 1"), "a: answer r"],
    "a request without a reply": traced("b", "ask.1", "a: SUB svc.1 1"),
    "a request that is only traced": traced("b", "ask.1 me", "a: SUB svc.1 1", "b: SUB me 1", headers=ONLY),
    "a service that shows nothing": [*traced("b", "dark me", "a: SUB dark 1", "b: SUB me 1"), "a: answer r"],
    "a service that shows nothing, and only traced": traced("b", "dark me", "a: SUB dark 1", "b: SUB me 1", headers=ONLY),
    "through two imports": [*traced("c", "third.1 me", "a: SUB svc.1 1", "c: SUB me 1"), "a: answer r"],
    "an answer": ["a: SUB svc.1 1", "a: SUB t 3", "b: SUB t 3", "b: SUB me 1", "b: pub ask.1 me = q", f"a: hanswer {T} = r", "a: await MSG t"],
    "an answer that is only traced": [
        "a: SUB svc.1 1", "a: SUB t 3", "b: SUB me 1", "b: pub ask.1 me = q", f"a: hanswer {ONLY} = r", "a: await MSG t",
    ],
    "to nobody": traced("a", "nobody"),
    "to nobody who could answer": traced("a", "nobody me", "a: SUB me 1"),
    "to where it is told": traced("a", "t"),
    "to one who may not have it": traced("a", "x", "d: SUB * 1"),
    "to one who may not have it, and only traced": traced("a", "x", "d: SUB * 1", headers=ONLY),
    "from one who may not send it": traced("p", "y", "a: SUB y 1"),
    "from one who may not tell": ["a: SUB > 1", "p: hpub x = Nats-Trace-Dest: u = x"],
    "a mapping does not lead it elsewhere": traced("a", "x", "a: SUB x 1", headers="Nats-Trace-Dest: map.t", where="map.t"),
    "told in another account": ["b: SUB imp.> 1", "a: SUB x 1", "a: hpub x = Nats-Trace-Dest: st.t = x", "b: await MSG imp.st.t"],
    "other headers": traced("a", "x", "a: SUB x 1", headers=f"A: 1; B: 2; A: 3; {T}; c: 4"),
    "told in two places": traced("a", "x", "a: SUB x 1", headers=f"{T}; Nats-Trace-Dest: u"),
    "names are written so and not otherwise": ["a: SUB t 1", "a: hpub x = nats-trace-dest: t = x", "a: hpub x = NATS-TRACE-DEST: t = x"],
    "no place to tell": [
        "a: SUB > 1", *(f"a: hpub x = Nats-Trace-Dest: {to} = x" for to in ("t.*", "", "trace disabled", "a..b")),
        "a: hpub x = Nats-Trace-Dest: a..b; Nats-Trace-Only: true = x",
    ],
    "other tracers": [
        "a: SUB > 1", "a: hpub x = traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01; tracestate: a=b = x",
        "a: hpub x = X-B3-TraceId: 1; X-B3-Sampled: 1; b3: 1-2-1; Uber-Trace-Id: 1:2:3:1 = x",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def compare(module_servers: Any) -> Any:
    return on_both(*module_servers, CONFIG, "abcdp")


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_the_real_server(name: str, compare: Any) -> None:
    compare(SCRIPTS[name])
