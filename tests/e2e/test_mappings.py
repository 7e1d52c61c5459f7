"""Subject mappings and transforms, on our server and on the real one."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from edge.protocol.mqtt import Connack, Connect, Kind, Publish, Signal, Subscribe
from tests.conftest import free_port
from tests.e2e.test_mqtt import Device
from tests.e2e.transcript import Cast, assert_same, on_both

Start = Callable[..., Any]

CONFIG = """
listen: 127.0.0.1:-1
server_name: S
mappings { "g.*": "global.$1" }
accounts {
  A {
    users: [{user: a, password: a}, {user: p, password: p, permissions: {publish: ["in.1", "out.1", "me", "plain"], subscribe: ">"}}]
    exports: [{stream: "ex.>"}, {service: "svc"}]
    mappings {
      "in.*": "out.$1"
      "swap.*.*": "swapped.$2.$1"
      "w.*.*": "wild.{{wildcard(2)}}.{{wildcard(1)}}"
      "part.*": "parted.{{partition(10,1)}}.$1"
      "parts.*.*": "parted2.{{partition(7,2,1)}}"
      "partall.*.*": "parted3.{{partition(5)}}"
      "split.*": "s.{{split(1,-)}}"
      "sfl.*": "s.{{splitFromLeft(1,2)}}"
      "sfr.*": "s.{{splitFromRight(1,2)}}"
      "sll.*": "s.{{sliceFromLeft(1,3)}}"
      "slr.*": "s.{{sliceFromRight(1,3)}}"
      "left.*": "s.{{left(1,3)}}"
      "right.*": "s.{{right(1,3)}}"
      "deep.>": "deeper.>"
      "one.>": "two.three.>"
      "lit": "literal"
      "plain": "plain.mapped"
      "loop.1": "loop.2"
      "loop.2": "loop.3"
      "spall.*": "s.{{split(1,)}}"
      "none.*": "s.{{wildcard(0)}}.{{left(0,2)}}"
      "neg.*": "s.{{partition(-1,1)}}.{{left(1,-1)}}"
      "drop.*": [{destination: "kept.$1", weight: 0}]
      "there": [{destination: "elsewhere", weight: 100, cluster: "other"}]
      "st.*": "ex.$1"
      "svc2": "svc"
    }
  }
  B { users: [{user: b, password: b}]
      imports: [{stream: {account: A, subject: "ex.>"}}, {service: {account: A, subject: svc}}]
      mappings { "call": "svc", "ex.*": "never.$1" } }
}
"""

VALUES = ["a", "abc", "abcd", "abcdef", "a-b", "-a-b-", "a-b-c-d", "ab-cdefgh", "1", "ÄÖÜß", "x" * 30, "-", "--", "--a-b", "a--"]
FUNCTIONS = ["in", "spall", "none", "neg", "part", "split", "sfl", "sfr", "sll", "slr", "left", "right", "drop", "lit"]
SCRIPTS = {
    "every function": ["a: SUB > 1"] + [f"a: pub {name}.{value} = x" for name in FUNCTIONS for value in VALUES],
    "several tokens": ["a: SUB > 1"]
    + [f"a: pub {name}.{x}.{y} = x" for name in ("swap", "w", "parts", "partall") for x in ("1", "b", "zz") for y in ("9", "c")],
    "tails": ["a: SUB > 1", "a: pub deep.1 = x", "a: pub deep.1.2.3 = x", "a: pub deep = x", "a: pub one.1.2 = x"],
    "a mapping is not mapped again": ["a: SUB > 1", "a: pub loop.1 = x", "a: pub loop.2 = x"],
    "what is in another cluster": ["a: SUB > 1", "a: pub there = x"],
    "permissions are about the name after": [
        "a: SUB > 1", "p: pub in.1 = x", "p: pub out.1 = x", "p: pub lit = x", "p: pub plain = x", "p: SUB plain 2", "a: pub plain = y",
    ],
    "requests and headers": [
        "a: SUB out.* 1", "p: SUB me 1", "p: pub in.1 me = q", "a: answer r", "p: hpub in.1 me = k: v = q", "a: answer r",
        "p: pub in.2 me = q",
    ],
    "nobody behind a mapping": ["p: SUB me 1", "p: pub in.1 me = q"],
    "mapped, then exported": ["b: SUB > 1", "a: pub st.1 = x", "a: pub ex.2 = y"],
    "mapped, then imported": ["a: SUB svc 1", "b: SUB me 1", "b: pub call me = q", "a: answer r", "a: SUB me 2", "a: pub svc2 me = q", "a: answer r"],
    "queues": ["a: SUB out.* q 1", "a: SUB out.1 q 2", "a: UNSUB 1", "a: pub in.1 = x", "a: pub in.2 = y"],
    "the global account's own": ["a: SUB > 1", "a: pub g.1 = x"],
}  # fmt: skip


@pytest.fixture(scope="module")
def compare(module_servers: Any) -> Any:
    return on_both(*module_servers, CONFIG, "apb")


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_the_real_server(name: str, compare: Any) -> None:
    compare(SCRIPTS[name])


def test_mappings_of_the_global_account(start_edge: Start, start_nats: Start) -> None:
    config = 'listen: 127.0.0.1:-1\nauthorization { user: a, password: a }\nmappings { "g.*": "global.$1", "x": y }'
    on_both(start_edge, start_nats, config, "a")(["a: SUB > 1", "a: pub g.1 = x", "a: pub x = x", "a: pub z = x"])


WEIGHTS = """
listen: 127.0.0.1:-1
accounts { A { users: [{user: a, password: a}], mappings {
  "w": [{destination: w1, weight: 20%}, {destination: w2, weight: "30%"}, {destination: w3, weight: 50}]
  "half": [{destination: h1, weight: 40%}]
  "loss": [{destination: loss, weight: 30%}, {destination: l1, weight: 30%}]
  "here": [{destination: e1, weight: 50%}, {destination: e2, weight: 100%, cluster: elsewhere}]
  "some.*": [{destination: "so.{{partition(2,1)}}", weight: 50%}, {destination: "so.$1.x", weight: 50%}]
  "r.*": "n.{{random(4)}}"
} } }
"""


WEIGHED = ["w", "half", "r.1", "loss", "here", "some.a"]


def test_weights(either: Start) -> None:
    """About as often as it says; what no weight is left for keeps its name."""
    server = either(WEIGHTS)
    count = 2000
    script = ["a: SUB > 1", "a: " + "\r\n".join(f"PUB {name} 0\r\n" for name in WEIGHED for _ in range(count))]
    heard = Cast(server, "a").play(script)
    found = Counter(line.split()[3] for line in heard if line.startswith("a < MSG"))
    shares = {"w1": 0.2, "w2": 0.3, "w3": 0.5, "h1": 0.4, "half": 0.6, **{f"n.{i}": 0.25 for i in range(4)}}
    shares |= {"loss": 0.3, "l1": 0.3, "e1": 0.5, "here": 0.5, "so.0": 0.5, "so.a.x": 0.5}
    assert found.keys() == shares.keys()
    for subject, share in shares.items():
        assert abs(found[subject] / count - share) < 0.08, found  # seven standard deviations


# ---- what comes by MQTT

MQTT = """
listen: 127.0.0.1:-1
server_name: S
jetstream {{ store_dir: "{folder}" }}
mqtt {{ listen: 127.0.0.1:{port} }}
accounts {{
  A {{
    users: [
      {{user: a, password: a}}, {{user: m, password: m}},
      {{user: p, password: p, permissions: {{publish: ["out.1", "plain", "$MQTT.>"], subscribe: [">"]}}}} ]
    jetstream: enabled
    exports: [{{service: "svc.*"}}, {{service: "ask.*"}}, {{stream: "ex.>"}}]
    mappings {{ "in.*": "out.$1", "w": [{{destination: w1, weight: 100}}], "gone": [{{destination: gone2, weight: 0}}], "st.*": "ex.$1" }} }}
  B {{
    users: [{{user: b, password: b}}, {{user: n, password: n}}]
    jetstream: enabled
    imports: [
      {{service: {{account: A, subject: "svc.*"}}}}, {{service: {{account: A, subject: "ask.*"}}, share: true}},
      {{stream: {{account: A, subject: "ex.>"}}, prefix: imp}} ]
    mappings {{ "call.*": "svc.$1" }} }}
}}
"""
SAID = [
    ("m", "in/1"), ("m", "w"), ("m", "gone"), ("m", "st/7"), ("n", "svc/1"), ("n", "ask/1"), ("n", "call/1"), ("p", "in/1"),
    ("p", "in/2"), ("p", "plain"), ("m", "out/9"),
]  # fmt: skip


class Devices(Cast):
    """MQTT clients besides: ``tell`` publishes a topic with a QoS."""

    def __init__(self, server: Any, users: str, port: int, devices: str) -> None:
        super().__init__(server, users)
        self.devices = {user: Device(port) for user in devices}
        for user, device in self.devices.items():
            device.send(Connect(f"{user}-device", user=user, password=user.encode()))
            device.expect(Connack(False, 0))

    def play(self, script: Iterable[str]) -> list[str]:
        heard = super().play(script)
        for device in self.devices.values():
            device.close()
        return heard

    def _do(self, user: str, operation: str) -> None:
        verb, _, rest = operation.partition(" ")
        if verb == "tell":
            qos, topic = rest.split()
            packet_id = 7 if qos == "1" else 0
            self.devices[user].send(Publish(topic, b"x", qos=int(qos), packet_id=packet_id))
            if packet_id:
                self._note(user, str(self.devices[user].next()))
            self._until_answered(user)
        elif verb == "subscribe":
            self.devices[user].send(Subscribe(1, ((rest, 0),)))
            self._note(user, str(self.devices[user].next()))
        else:
            super()._do(user, operation)
        if user in self.wires:
            self._listen(user)
        for other in self.devices:
            self._until_answered(other)

    def _until_answered(self, user: str) -> None:
        device = self.devices[user]
        device.send(Signal(Kind.PINGREQ))
        while (packet := device.next()) != Signal(Kind.PINGRESP):
            self._note(user, str(packet))

    def _note(self, user: str, text: str) -> None:
        if "$MQTT" not in text and "$JS" not in text:  # how each of them does it
            super()._note(user, text)


def test_mapped_from_mqtt(start_edge: Start, start_nats: Start, tmp_path: Path) -> None:
    script = ["a: SUB > 1", "b: SUB svc.> 1", "b: SUB imp.> 2", *(f"{user}: tell {qos} {topic}" for qos in "01" for user, topic in SAID)]
    script += ["m: subscribe out/+", "m: subscribe in/+", "n: subscribe imp/#", "m: tell 0 in/5", "m: tell 0 st/5"]
    script += ["a: pub in.6 = y", "a: pub st.6 = y", "m: tell 1 in/7"]
    heard = []
    for name, start in (("edge", start_edge), ("nats", start_nats)):
        port = free_port()
        server = start(MQTT.format(folder=tmp_path / f"{name}-js", port=port), name)
        heard.append(Devices(server, "ab", port, "mnp").play(script))
    assert_same(*heard)


# ---- made-up mappings


def made_up(number: int) -> tuple[str, list[str]]:
    dice = random.Random(number)
    mappings, subjects = [], []
    for i in range(12):
        stars = dice.randint(1, 3)
        tokens = [f"m{i}", *("*" if j < stars else dice.choice("xy") for j in range(3))]
        tail = dice.random() < 0.2
        parts = []
        for _ in range(dice.randint(1, 4)):
            at = dice.randint(1, stars)
            parts.append(
                dice.choice(
                    [
                        f"${at}", f"{{{{wildcard({at})}}}}", f"{{{{partition({dice.randint(1, 20)},{at})}}}}", "lit",
                        f"{{{{splitfromleft({at},{dice.randint(1, 3)})}}}}", f"{{{{slicefromright({at},{dice.randint(1, 3)})}}}}",
                        f"{{{{Left({at},{dice.randint(1, 3)})}}}}", f"{{{{right({at},{dice.randint(1, 3)})}}}}",
                        f"{{{{split({at},{dice.choice('-_o')})}}}}", f"{{{{SliceFromLeft({at},{dice.randint(1, 3)})}}}}",
                    ]
                )
            )  # fmt: skip
        mappings.append(f'"{".".join(tokens + [">"] * tail)}": "to.{i}.{".".join(parts + [">"] * tail)}"')
        for _ in range(6):
            words = [dice.choice(["one", "t-w_o", "x", "foo-bar-o", "-", "o_o", "abcdefg"]) if t == "*" else t for t in tokens]
            subjects.append(".".join(words + [dice.choice(["tail", "a.b"])] * tail))
    config = "listen: 127.0.0.1:-1\naccounts { A { users: [{user: a, password: a}], mappings {\n" + "\n".join(mappings)
    return config + "\n} } }\n", ["a: SUB > 1", *(f"a: pub {subject} = x" for subject in subjects)]


@pytest.mark.parametrize("number", range(6))
def test_made_up_mappings(number: int, start_edge: Start, start_nats: Start) -> None:
    config, script = made_up(number)
    on_both(start_edge, start_nats, config, "a")(script)
