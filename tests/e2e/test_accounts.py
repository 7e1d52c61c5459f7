"""What accounts give each other, on our server and on the real one: exports, imports, limits, latencies."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.transcript import Cast, on_both

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


# ---- who may, who answers, and what is told of it

ANSWERS = """
listen: 127.0.0.1:-1
server_name: S
system_account: SYS
accounts {
  A { users: [{user: a, password: a}]
      exports: [
        {service: "svc.*", accounts: [B, C]}, {stream: "multi.*.*.>", account_token_position: 3},
        {service: "pos.*.*", account_token_position: 2}, {stream: "all.>"}, {service: "chain.*"},
        {service: "slow", threshold: "100ms"}, {service: "twice", accounts: [B]}, {service: "twice", accounts: [C]} ]
      mappings: {"from.*": "svc.$1"} }
  B { users: [{user: b, password: b}]
      imports: [
        {service: {account: A, subject: "svc.*"}, to: "do.{{wildcard(1)}}"}, {stream: {account: A, subject: "multi.x.B.>"}, to: "m.>"},
        {service: {account: A, subject: "pos.B.*"}, to: "p.*"}, {stream: {account: A, subject: "all.*.*"}, to: "rev.$2.$1"},
        {stream: {account: A, subject: "all.one"}, to: "one"}, {service: {account: A, subject: "chain.*"}},
        {service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.IDZ"}, to: "who"}, {service: {account: A, subject: slow}},
        {service: {account: A, subject: twice}} ]
      exports: [{service: "chain.*"}] }
  C { users: [{user: c, password: c}]
      imports: [
        {service: {account: A, subject: "svc.*"}}, {service: {account: B, subject: "chain.*"}, to: "c.*"},
        {service: {account: A, subject: twice}} ] }
  SYS { users: [{user: s, password: s}], exports: [{service: "$SYS.REQ.SERVER.PING.IDZ"}] }
}
"""

ASKED = ["a: SUB svc.x 1", "b: SUB me 1", "b: pub do.x me = q"]
ANSWERED = {
    "a name with wildcard()": ["a: SUB svc.* 1", "b: SUB me 1", "b: pub do.x me = q", "a: answer r"],
    "two that import it": [
        "a: SUB svc.* 1", "b: SUB me 1", "c: SUB me 1", "b: pub do.x me = q", "a: answer r", "c: pub svc.y me = q", "a: answer r",
    ],
    "exported twice": ["a: SUB twice 1", "b: SUB me 1", "c: SUB me 1", "b: pub twice me = q", "a: answer r", "c: pub twice me = q", "a: answer r"],
    "the account's name as the third token": ["b: SUB m.> 1", "a: pub multi.x.B.y = 1", "a: pub multi.x.C.y = 1", "a: pub multi.x.B.y.z = 1"],
    "the account's name as the second token": ["a: SUB pos.> 1", "b: SUB me 1", "b: pub p.7 me = q", "a: answer r"],
    "tokens turned round": [
        "b: SUB rev.1.2 1", "b: SUB rev.*.2 2", "b: SUB rev.> 3", "b: SUB *.1.* 4", "a: pub all.2.1 = x", "a: pub all.1.2 = y", "a: pub all.1 = z",
    ],
    "one of a wildcard": ["b: SUB one 1", "b: SUB * 2", "a: pub all.one = x", "a: pub all.two = x"],
    "mapped, then served": ["a: SUB svc.z 1", "a: SUB me 2", "a: pub from.z me = q", "a: answer r"],
    "a service of the system account": ["b: SUB me 1", "b: pub who me = ", "b: await MSG me"],
    "too late": ["a: SUB slow 1", "b: SUB me 1", "b: pub slow me = q", "a: answer r"],
    "not listening any more": [*ASKED, "b: UNSUB 1", "a: answer r", "b: SUB me 2"],
    "listening again": [*ASKED, "b: UNSUB 1", "b: SUB me 2", "a: answer r"],
    "one of two still listens": [*ASKED[:2], "b: SUB me 2", ASKED[2], "b: UNSUB 1", "a: answer r"],
    "an inbox of wildcards is given up": ["a: SUB svc.x 1", "b: SUB me.* 1", "b: pub do.x me.1 = q", "b: pub do.x me.2 = q", "b: UNSUB 1", "a: answer r"],
    "who serves has stopped": [*ASKED, "a: UNSUB 1", "a: answer r"],
    "an answer with headers": [*ASKED, "a: hanswer k: v = r"],
    "an answer that asks back": [*ASKED[:2], "a: SUB deep 2", ASKED[2], "a: ask-back deep = r", "b: answer back", "a: answer x"],
    "an answer in another's place": [*ASKED, "c: steal a = r"],
    "an answer to nothing": ["b: SUB me 1", "c: pub _R_.abcdef.123456 = x", "a: pub _R_.abcdef.123456 = x"],
    "who listens to all answers": ["a: SUB _R_.> 5", *ASKED, "a: answer r"],
    "an empty request, an empty answer": [*ASKED[:2], "b: pub do.x me = ", "a: answer r", "b: pub do.x me = q", "a: answer "],
    "an inbox for one": [*ASKED[:2], "b: UNSUB 1 1", ASKED[2], "a: answer r", "a: answer again", ASKED[2], "a: answer r"],
    "through two imports": ["a: SUB chain.x 1", "c: SUB me 1", "c: pub c.x me = q", "a: answer r"],
    "through two imports, and one is in between": [
        "a: SUB chain.x 1", "b: SUB chain.x 5", "c: SUB me 1", "c: pub c.x me = q", "a: answer r", "b: answer r2",
    ],
}  # fmt: skip

CHAINS = """
listen: 127.0.0.1:-1
server_name: S
accounts {
  A { users: [{user: a, password: a}, {user: n, password: n, permissions: {subscribe: {deny: ["no", "st.no", "nq z"]}}}, {user: w, password: w}]
      exports: [
        {stream: "st.>"}, {service: "svc.>"}, {stream: "svc.>"}, {service: "q"}, {service: "m.*.*"}, {service: "svc"},
        {service: "lat", latency: ml} ]
      mappings: { "rx": "svc.r", "inm.*": "svc.$1" } }
  B { users: [{user: b, password: b}, {user: d, password: d, permissions: {subscribe: {deny: ["imp.st.no"]}, publish: {deny: "ask.no"}}}]
      imports: [
        {stream: {account: A, subject: "st.>"}, prefix: imp}, {service: {account: A, subject: "svc.>"}, to: "ask.>"},
        {service: {account: A, subject: "q"}}, {service: {account: A, subject: "m.*.*"}, to: "swap.$2.$1"},
        {service: {account: A, subject: "lat"}, share: true}, {service: {account: A, subject: svc}, to: inm.5} ]
      exports: [{service: "ask.>"}, {service: "lat"}, {stream: "imp.>"}]
      mappings: { "mapped.reply": "really", "pre.*": "ask.$1" } }
  C { users: [{user: c, password: c}]
      imports: [
        {stream: {account: A, subject: "svc.>"}, prefix: seen}, {service: {account: B, subject: "ask.>"}, to: "third.>"},
        {service: {account: B, subject: lat}, to: l3}, {stream: {account: B, subject: "imp.>"}, to: "got.>"} ]
      exports: [{service: "third.>"}, {service: l3}] }
  D { users: [{user: f, password: f}]
      imports: [{service: {account: C, subject: "third.x"}, to: "fourth"}, {service: {account: C, subject: l3}, to: l4, share: true}] }
}
"""

CHAINED = {
    "what was asked is not a stream": [
        "c: SUB seen.> 1", "a: SUB svc.1 1", "b: SUB me 2", "b: pub ask.1 me = q", "a: answer r", "a: pub svc.1 = direct",
    ],
    "what was asked is not a stream for a queue": ["c: SUB seen.> q 1", "b: SUB me 2", "b: pub ask.1 me = q", "a: pub svc.1 = direct"],
    "the only one may not have it": ["n: SUB * 1", "a: SUB me 1", "a: pub no me = q"],
    "another member may have it": ["n: SUB * q 1", "w: SUB * q 1", *["a: pub no = q"] * 5, "n: UNSUB 1", "w: UNSUB 1"],
    "members of one queue may not have it": ["n: SUB * z 1", "w: SUB * z 1", *["a: pub nq = q"] * 5, "w: UNSUB 1", "n: SUB * y 2", "a: pub nq = r"],
    "denied under the name it has here": ["d: SUB imp.> 1", "a: SUB me 1", "a: pub st.no me = q", "a: pub st.yes me = q"],
    "denied to a queue": ["d: SUB imp.> q 1", "a: SUB me 1", "a: pub st.no me = q", "a: pub st.yes me = q"],
    "a service that may not be asked": ["a: SUB svc.> 1", "d: SUB me 1", "d: pub ask.no me = q", "d: pub ask.ok me = q"],
    "answers are mapped": ["a: SUB svc.> 1", "b: SUB mapped.reply 1", "b: SUB really 2", "b: pub ask.1 mapped.reply = q", "a: answer r"],
    "mapped into a service": ["a: SUB svc.> 1", "b: SUB me 1", "b: pub pre.1 me = q", "a: answer r"],
    "mapped by who exports": ["a: SUB > 1", "b: SUB me 1", "b: pub ask.x me = q", "b: pub inm.5 me = q"],
    "tokens turned round on the way": ["a: SUB m.> 1", "b: SUB me 1", "b: pub swap.1.2 me = q", "a: answer r"],
    "measured through three accounts": ["a: SUB lat 1", "a: SUB ml 2", "c: SUB me 1", "c: pub l3 me = q", "a: answer r", "a: await MSG ml"],
    "measured through four accounts": ["a: SUB lat 1", "a: SUB ml 2", "f: SUB me 1", "f: pub l4 me = q", "a: answer r", "a: await MSG ml"],
    "through four accounts": ["a: SUB svc.> 1", "f: SUB me 1", "f: pub fourth me = q", "a: answer r"],
    "through four accounts to nobody": ["f: SUB me 1", "f: pub fourth me = q", "f: pub l4 me = q"],
    "a stream through three accounts": ["c: SUB got.st.> 1", "b: SUB imp.> 2", "a: pub st.1 = x", "b: pub imp.st.1 = y"],
    "who asks cannot be made up": ["a: SUB svc.1 1", 'b: hpub ask.1 me = Nats-Request-Info: {"acc":"X"}; k: v = q'],
    "subjects that are no literals": ["a: SUB svc.> 1", "b: SUB > 1", "b: pub ask.* me = q", "b: pub ask me = q"],
    "the answer is a request": ["a: SUB svc.> 1", "b: pub ask.1 ask.2 = q", "a: answer r", "b: pub ask.1 q = q", "a: SUB q 2", "a: answer r"],
    "a limit counts on": ["b: SUB imp.st.> 1", "a: pub st.1 = 1", "b: UNSUB 1", "a: pub st.1 = 2"],
    "one member each": ["b: SUB imp.st.x g 1", "d: SUB imp.st.x g 1", "d: UNSUB 1", "a: pub st.x = 1", "w: SUB st.x g 1", "b: UNSUB 1", "a: pub st.x = 2"],
}  # fmt: skip

MEASURED = """
listen: 127.0.0.1:-1
server_name: S
accounts {
  A { users: [{user: a, password: a}, {user: d, password: d, permissions: {publish: "svc.>", allow_responses: {max: 2}}}]
      exports: [
        {service: "svc.>"}, {service: quick, threshold: "100ms", latency: m.quick}, {service: chunk, response: chunked, threshold: "100ms"},
        {service: lat, latency: m.lat}, {service: lat2, latency: {subject: m.lat2, sampling: "100%"}},
        {service: half, latency: {subject: m.half, sampling: "50%"}}, {service: shared, latency: m.sh} ] }
  B { users: [{user: b, password: b}, {user: "e<&>", password: "e<&>"}]
      imports: [
        {service: {account: A, subject: "svc.>"}}, {service: {account: A, subject: quick}}, {service: {account: A, subject: chunk}},
        {service: {account: A, subject: lat}}, {service: {account: A, subject: lat2}, share: true},
        {service: {account: A, subject: half}}, {service: {account: A, subject: shared}, to: "sh.x", share: true} ] }
  C { users: [{user: c, password: c}], default_permissions: {publish: {deny: "no.>"}, subscribe: {allow: ["ok.>", "me"]}} }
  E { users: [{user: u, password: u, permissions: {subscribe: "ok.>"}}, {user: v, password: v}]
      default_permissions: {publish: {deny: "no.>"}, subscribe: {allow: "me"}} }
}
"""

TOLD = {
    "504": ["a: SUB quick 1", "a: SUB m.quick 2", "b: SUB me 1", "b: pub quick me = q", "a: await MSG m.quick", "a: answer late"],
    "408": ["a: SUB lat 1", "a: SUB m.lat 2", "b: SUB me 1", "b: pub lat me = q", "b: UNSUB 1", "a: await MSG m.lat"],
    "408 for one that has left": ["a: SUB lat 1", "a: SUB m.lat 2", "b: SUB me 1", "b: pub lat me = q", "b: leave", "a: await MSG m.lat"],
    "408 with a name": ["a: SUB lat2 1", "a: SUB m.lat2 2", "e<&>: SUB me 1", "e<&>: pub lat2 me = q", "e<&>: UNSUB 1", "a: await MSG m.lat2"],
    "503": ["a: SUB m.lat 2", "b: SUB me 1", "b: pub lat me = q", "a: await MSG m.lat"],
    "503 with a name": ["a: SUB m.lat2 2", "b: SUB me 1", "b: pub lat2 me = q", "a: await MSG m.lat2"],
    "400": ["a: SUB lat 1", "a: SUB m.lat 2", "b: pub lat = q", "a: await MSG m.lat"],
    "under another name": ["a: SUB shared 1", "a: SUB m.sh 2", "b: SUB me 1", "b: pub sh.x me = q", "a: answer r", "a: await MSG m.sh"],
    "two that answer": ["a: SUB lat 1", "d: SUB lat 3", "a: SUB m.lat 2", "b: SUB me 1", "b: pub lat me = q", "a: answer r", "a: await MSG m.lat", "d: answer r2"],
    "chunks, and in time": ["a: SUB chunk 1", "b: SUB me 1", "b: pub chunk me = q", "a: answer 1", "a: answer 2", "a: answer ", "a: answer 3"],
    "answers that a permission counts": ["d: SUB svc.x 1", "b: SUB me 1", "b: pub svc.x me = q", "d: answer 1", "d: answer 2", "d: answer 3"],
    "default permissions": ["c: SUB no 1", "c: SUB ok.1 2", "c: SUB > 3", "c: pub no.1 = x", "c: pub ok.1 = y"],
    "default permissions and one's own": ["u: SUB ok.1 1", "u: SUB me 2", "u: pub no.1 = x", "v: SUB ok.1 1", "v: SUB me 2", "v: pub no.1 = x"],
    "what one may": ["v: SUB me 1", "v: pub $SYS.REQ.USER.INFO me = ", "v: await MSG me"],
    "nobody else's system": ["b: SUB $SYS.> 1", "a: pub $SYS.x = 1", "b: pub $SYS.y = 2", "b: SUB me 2", "b: pub $SYS.REQ.SERVER.PING me = "],
}  # fmt: skip

STORED = """
listen: 127.0.0.1:-1
server_name: S
jetstream { store_dir: "STORE" }
accounts {
  A { users: [{user: a, password: a}], jetstream: enabled
      exports: [
        {service: "$JS.API.CONSUMER.MSG.NEXT.ORD.PULL", response: stream}, {service: "$JS.ACK.ORD.>"}, {service: "orders.*"},
        {service: "$JS.API.>", response: stream}, {stream: "orders.>"} ] }
  B { users: [{user: b, password: b}]
      imports: [
        {service: {account: A, subject: "$JS.API.CONSUMER.MSG.NEXT.ORD.PULL"}}, {service: {account: A, subject: "$JS.ACK.ORD.>"}},
        {service: {account: A, subject: "orders.*"}, to: "put.*"} ] }
  D { users: [{user: d, password: d}]
      imports: [{service: {account: A, subject: "$JS.API.>"}, to: "fromA.API.>"}, {stream: {account: A, subject: "orders.>"}, prefix: live}] }
}
"""

CREATE = [
    "a: SUB me 1", "b: SUB me 1", "d: SUB me 1",
    'a: pub $JS.API.STREAM.CREATE.ORD me = {"name":"ORD","subjects":["orders.*"]}', "a: await MSG me",
    'a: pub $JS.API.CONSUMER.DURABLE.CREATE.ORD.PULL me = '
    '{"stream_name":"ORD","config":{"durable_name":"PULL","ack_policy":"explicit"}}', "a: await MSG me",
]  # fmt: skip
CONSUMED = {
    "a consumer of another account": [
        *CREATE, "b: hpub put.1 me = k: v = one", "b: await seq", "b: pub put.2 me = two", "b: await seq",
        "b: pub $JS.API.CONSUMER.MSG.NEXT.ORD.PULL me = 1", "b: await one", "b: answer +ACK",
        "b: pub $JS.API.CONSUMER.MSG.NEXT.ORD.PULL me = 1", "b: await two", "b: answer +ACK",
        "a: pub orders.3 me = three", "a: await seq", "d: SUB live.> 2", "a: pub orders.4 me = four", "a: await seq",
        "d: pub fromA.API.CONSUMER.MSG.NEXT.ORD.PULL me = 1", "d: await three",
        'd: pub fromA.API.STREAM.MSG.GET.ORD me = {"seq":1}', "d: await MSG me",
        "a: hpub orders.5 me = Nats-Request-Info: x = five", "a: await seq",
        'd: pub fromA.API.STREAM.MSG.GET.ORD me = {"seq":5}', "d: await MSG me",
    ],
}  # fmt: skip

SCENES = {
    "shared": (CONFIG, "abc", SCRIPTS), "answers": (ANSWERS, "abcs", ANSWERED), "chains": (CHAINS, "abcdfnw", CHAINED),
    "measured": (MEASURED, [*"abcduv", "e<&>"], TOLD), "stored": (STORED, "abd", CONSUMED),
}  # fmt: skip


@pytest.fixture(scope="module")
def compare(module_servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], None]:
    """One pair of servers for all the scripts of a scene."""
    pairs: dict[str, Any] = {}

    def play(scene: str, name: str) -> None:
        config, users, scripts = SCENES[scene]
        if scene not in pairs:
            stores = [tmp_path_factory.mktemp(scene) for _ in module_servers]
            starts = [
                (lambda config, start=start, store=store: start(config.replace("STORE", str(store)), scene + store.name))
                for start, store in zip(module_servers, stores, strict=True)
            ]
            pairs[scene] = on_both(*starts, config, users)
        pairs[scene](scripts[name])

    return play


@pytest.mark.parametrize(("scene", "name"), [(scene, name) for scene in SCENES for name in SCENES[scene][2]])
def test_as_the_real_server(scene: str, name: str, compare: Callable[[str, str], None]) -> None:
    compare(scene, name)


def test_half_of_the_requests_are_measured(either: Start) -> None:
    count = 400
    script = ["a: SUB half 1", "a: SUB m.half 2", "b: SUB me 1", *["b: pub half me = q", "a: answer r"] * count]
    heard = Cast(either(MEASURED), "ab").play([*script, "a: pub m.half = the end", "a: await the end"])
    measured = sum(" < MSG m.half" in line for line in heard)
    assert abs(measured / count - 0.5) < 0.15  # six standard deviations


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
