"""What accounts give each other, on our server and on the real one: exports, imports, limits, latencies."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.transcript import on_both

Start = Callable[..., Any]

CONFIG = """
listen: 127.0.0.1:-1
server_name: S
system_account: SYS
accounts {
  A { users: [{user: a, password: a}]
      exports: [
        {stream: "st.>"}, {stream: "pr.*", accounts: [B]}, {service: "svc.*"}, {service: "many", response: stream},
        {service: "chunk", response: chunked}, {service: "late", threshold: "200ms"},
        {service: "lat", latency: {subject: "lat.measured", sampling: 100}},
        {service: "lath", latency: {subject: "lat.measured", sampling: headers}},
        {stream: "of.*.>", account_token_position: 2}, {service: "for.*.x", account_token_position: 2} ] }
  B { users: [{user: b, password: b}]
      imports: [
        {stream: {account: A, subject: "st.>"}, prefix: imp}, {stream: {account: A, subject: "pr.*"}, to: "here.*"},
        {service: {account: A, subject: "svc.x"}, to: "my.svc"}, {service: {account: A, subject: "svc.*"}},
        {service: {account: A, subject: many}}, {service: {account: A, subject: chunk}},
        {service: {account: A, subject: late}}, {service: {account: A, subject: lat}, share: true},
        {service: {account: A, subject: lath}},
        {stream: {account: A, subject: "of.B.>"}, to: "mine.>"}, {service: {account: A, subject: "for.B.x"}} ]
      exports: [{stream: "imp.st.>"}, {service: "my.svc"}] }
  C { users: [{user: c, password: c}]
      imports: [{stream: {account: B, subject: "imp.st.1"}, to: "third"}, {service: {account: B, subject: "my.svc"}, to: "ask"},
        {stream: {account: A, subject: "st.*"}, to: "swapped.$1"}] }
  SYS { users: [{user: s, password: s}] }
}
"""


@pytest.fixture(scope="module")
def compare(module_servers: Any) -> Any:
    """One pair of servers for all the scripts."""
    return on_both(*module_servers, CONFIG, "abc")


SCRIPTS = {
    "accounts are apart": [
        "a: SUB > 1", "b: SUB > 1", "c: SUB > 1", "a: pub x = 1", "b: pub x = 2", "c: pub x = 3", "b: pub st.1 = 4",
    ],
    "a stream, under a prefix and twice removed": [
        "b: SUB imp.st.> 1", "b: SUB imp.st.1 2", "b: SUB imp.* 3", "b: SUB st.1 4", "c: SUB third 1", "c: SUB > 2",
        "a: pub st.1 = x", "a: pub st.2 reply = y", "a: hpub st.1 = k: v = z", "a: pub st = no", "b: pub imp.st.1 = own",
        "b: UNSUB 1", "a: pub st.1 = w",
    ],
    "a private stream": ["b: SUB here.* 1", "b: SUB here.1 q 2", "c: SUB > 1", "a: pub pr.1 = x", "a: pub pr.1.2 = x"],
    "queues across accounts": [
        "b: SUB imp.st.> q 1", "a: pub st.1 = 1", "a: pub st.1 = 2",
        "b: SUB imp.st.> other 2", "b: SUB imp.st.* 3", "a: pub st.1 = 3",
    ],
    "wildcards that change places": ["c: SUB swapped.* 1", "c: SUB swapped.x 2", "a: pub st.x = 1", "a: pub st.y = 2"],
    "a service under another name": [
        "a: SUB svc.x 1", "b: SUB me 1", "b: pub my.svc me = q", "a: answer r", "a: answer again",
        "b: pub svc.x me = q", "a: answer r", "b: pub my.svc = nobody waits", "b: hpub my.svc me = k: v = q", "a: answer r",
    ],
    "a service of two removes": ["a: SUB svc.* 1", "c: SUB me 1", "c: pub ask me = q", "a: answer r"],
    "a service by queue": [
        "a: SUB svc.x q 1", "a: SUB svc.x q 2", "a: UNSUB 2", "b: SUB me 1", "b: pub my.svc me = q", "a: answer r",
    ],
    "nobody there": ["b: SUB me 1", "b: pub my.svc me = q", "b: pub svc.y me = q", "b: pub nowhere me = q"],
    "many answers": [
        "a: SUB many 1", "b: SUB me 1", "b: pub many me = q", "a: answer 1", "a: answer 2", "a: answer 3", "a: answer ",
        "a: answer 4",
    ],
    "answers in chunks": ["a: SUB chunk 1", "b: SUB me 1", "b: pub chunk me = q", "a: answer 1", "a: answer 2", "a: answer ", "a: answer 3"],
    "the asker has gone": ["a: SUB svc.x 1", "b: SUB me 1", "b: pub my.svc me = q", "b: leave", "a: answer r"],
    "latency, and who is measured": [
        "a: SUB lat 1", "a: SUB lat.measured 2", "b: SUB me 1", "b: pub lat me = q", "a: answer r", "a: await a < MSG lat.measured",
        "b: hpub lat me = X-B3-Sampled: 1 = q", "a: answer r", "a: await a < MSG lat.measured",
    ],
    "latency where the request asks for it": [
        "a: SUB lath 1", "a: SUB lat.measured 2", "b: SUB me 1", "b: pub lath me = q", "a: answer r",
        "b: hpub lath me = X-B3-Sampled: 1 = q", "a: answer r", "a: await a < MSG lat.measured", "b: hpub lath me = X-B3-Sampled: 0 = q", "a: answer r",
        "b: hpub lath me = traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 = q", "a: answer r", "a: await a < MSG lat.measured",
        "b: hpub lath me = Uber-Trace-Id: 1:2:3:1; Uberctx-a: b; x: y = q", "a: answer r", "a: await a < MSG lat.measured",
        "b: hpub lath me = X-B3-TraceId: 1; X-B3-SpanId: 2; x: y = q", "a: answer r", "a: await a < MSG lat.measured",
        "b: hpub lath me = b3: 1-2-1 = q", "a: answer r", "a: await a < MSG lat.measured", "b: hpub lath me = B3: 1 = q", "a: answer r", "a: await a < MSG lat.measured",
        "b: hpub lath me = traceparent: 00-1-2-01; tracestate: s; x: y = q", "a: answer r", "a: await a < MSG lat.measured",
    ],
    "nobody to be measured": ["a: SUB lat.measured 2", "b: SUB me 1", "b: pub lat me = q", "a: await lat.measured"],
    "the account's own token": [
        "b: SUB mine.> 1", "c: SUB > 1", "a: pub of.B.1 = 1", "a: pub of.C.1 = 2", "a: SUB for.*.x 1", "b: SUB me 1",
        "b: pub for.B.x me = q", "a: answer r", "b: pub for.C.x me = q",
    ],
    "who am I": ["b: SUB me 1", "b: pub $SYS.REQ.USER.INFO me = ", "b: await b < MSG me"],
    "headers pass": ["a: SUB svc.x 1", "b: SUB me 1", "b: hpub my.svc me = a: 1; b: 2 = q", "a: answer r"],
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_the_real_server(name: str, compare: Any) -> None:
    compare(SCRIPTS[name])


LIMITS = """
listen: 127.0.0.1:-1
accounts {
  L { users: [{user: l, password: l}], limits { max_connections: 2, max_subscriptions: 3, max_payload: 10 } }
  M { users: [{user: m, password: m}] }
}
"""


def test_limits_of_an_account(start_edge: Start, start_nats: Start) -> None:
    compare = on_both(start_edge, start_nats, LIMITS, ["l", "m"])
    compare(["l2: join", "l3: join", "m2: join", "l2: leave", "l3: join"])
    compare(["l2: join", "l: SUB a 1", "l2: SUB a 1", "l: SUB b 2", "l2: SUB b 2", "l: UNSUB 1", "l2: SUB c 3", "m: SUB a 1"])
    compare(["l: pub a = 1234567890", "m: pub a = 12345678901", "l: pub a = 12345678901"])


# ---- made-up accounts


def made_up(number: int) -> tuple[str, list[str]]:
    """A configuration of three accounts that share at random, and what is said in it."""
    dice = random.Random(number)
    names = ["a", "b", "c"]
    subjects = ["x", "x.1", "x.2", "y", "y.1", "x.y.z"]
    patterns = ["x", "x.*", "x.>", "y.*", "*.1", "x.*.z", ">"]
    exports: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    imports: dict[str, list[str]] = {name: [] for name in names}
    for name in names:
        for pattern in dice.sample(patterns, 3):
            exports[name].append(("stream", pattern))
        exports[name].append(("service", f"ask.{name}"))
    for importer, exporter in (("b", "a"), ("c", "b"), ("c", "a")):
        kind, pattern = dice.choice([entry for entry in exports[exporter] if entry[0] == "stream"])
        how = f", prefix: {dice.choice(['p', 'q'])}" if pattern == ">" or dice.random() < 0.7 else ""
        imports[importer].append(f"{{{kind}: {{account: {exporter.upper()}, subject: \"{pattern}\"}}{how}}}")
        imports[importer].append(f"{{service: {{account: {exporter.upper()}, subject: ask.{exporter}}}, to: to.{exporter}}}")
    blocks = "\n".join(
        f"{name.upper()} {{ users: [{{user: {name}, password: {name}}}], exports: ["
        + ", ".join(f"{{{kind}: \"{pattern}\"}}" for kind, pattern in exports[name])
        + f"], imports: [{', '.join(imports[name])}] }}"
        for name in names
    )
    script = []
    for sid in range(8):
        who = dice.choice(names)
        pattern = dice.choice([*patterns, "p.>", "q.*", "p.x.*", "q.x.>", "p.*.1"])
        script.append(f"{who}: SUB {pattern} {dice.choice(['', '', f'q{sid} '])}{sid}")
    script += [f"{dice.choice(names)}: pub {dice.choice(subjects)} = {i}" for i in range(12)]
    script += ["c: SUB me 90", "a: SUB ask.a 91", "c: pub to.a me = q", "a: answer r", "a: UNSUB 91", "c: pub to.a me = q"]
    script += [f"{dice.choice(names)}: UNSUB {sid}" for sid in range(4)]
    script += [f"{dice.choice(names)}: pub {dice.choice(subjects)} = {i}" for i in range(6)]
    return f"listen: 127.0.0.1:-1\nserver_name: S\naccounts {{\n{blocks}\n}}\n", script


@pytest.mark.parametrize("number", range(12))
def test_made_up_accounts(number: int, start_edge: Start, start_nats: Start) -> None:
    config, script = made_up(number)
    on_both(start_edge, start_nats, config, "abc")(script)
