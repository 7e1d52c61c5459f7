"""Acks that are read by the hundred do what each by itself does."""

import json
import random
from typing import Any

import pytest

from edge.core.auth import ConfiguredUsers, Credentials
from edge.core.client import Client
from edge.net.listener import ClientLimits

CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'


class Shell:
    kind, ip, started_ns, rtt_ns = "STANDARD", "127.0.0.1", 0, 0

    def __init__(self) -> None:
        self.sent = bytearray()
        self.write = self.sent.extend

    def credentials(self) -> Credentials:
        return Credentials()

    def on_connect(self, client: Client) -> None: ...
    def on_login(self, client: Client) -> None: ...
    def is_loaded(self) -> bool:
        return False


def client_of(bench: Any, by_itself: bool) -> tuple[Client, Shell]:
    """``by_itself``: what is traced goes the general way."""
    shell = Shell()
    trace = (lambda *words: None) if by_itself else None
    client = Client(bench.router, ConfiguredUsers(account="A"), ClientLimits(), 1, "c", shell, trace)  # type: ignore[arg-type]
    client.receive(CONNECT)
    return client, shell


def prepare(bench: Any, by_itself: bool, **config: object) -> tuple[Client, Shell, Any]:
    bench.stream()
    for i in range(60):
        bench.publish(f"s.{i % 3}", b"%d" % i, reply="")
    bench.settle()
    consumer = bench.consumer(**config)
    client, shell = client_of(bench, by_itself)
    client.receive(b"SUB _P.* 1\r\n" + b"PUB $JS.API.CONSUMER.MSG.NEXT.S.C _P.a 2\r\n50\r\n")
    bench.settle()
    return client, shell, consumer


def ack(seq: int, body: bytes = b"+ACK", reply: bytes = b"", name: bytes = b"S.C", deliveries: int = 1) -> bytes:
    line = b"PUB $JS.ACK.%b.%d.%d.%d.0.0 " % (name, deliveries, seq, seq)
    return line + (reply + b" " if reply else b"") + b"%d\r\n%b\r\n" % (len(body), body)


def chatter(dice: random.Random, highest: int) -> bytes:
    """Acks of every kind, and what only looks like one."""
    made = []
    for _ in range(dice.randrange(1, 120)):
        seq = dice.randrange(1, highest + 1)
        made.append(
            dice.choice([
                ack(seq), ack(seq), ack(seq), ack(seq, b""), ack(seq, b"", name=b"S.D"), ack(seq, reply=b"_P.ack"),
                ack(seq, b"-NAK"), ack(seq, b"+WPI"), ack(seq, b"+OK"), ack(seq, b"+TERM"), b"PING\r\n",
                b"PUB $JS.ACK.S.C.1.x.1.0.0 4\r\n+ACK\r\n", b"PUB $JS.ACK.S.C.1.%d.1.0 0\r\n\r\n" % seq,
                b"PUB  $JS.ACK.S.C.1.%d.1.0.0  4\r\n+ACK\r\n" % seq, b"pub $JS.ACK.S.C.1.%d.1.0.0 4\r\n+ACK\r\n" % seq,
                b"PUB $JS.ACK.S.C.1.%d.1.0.0 4\r\n+ACX\r\n" % seq, b"PUB $JS.ACK.S.C.1.%d.1.0.0 4\n+ACK\r\n" % seq,
            ])
        )  # fmt: skip
    return b"".join(made)


CONFIGS: list[dict[str, Any]] = [{}, {"max_ack_pending": 20}, {"sample_freq": "100"}, {"ack_policy": "all"}]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_as_each_by_itself(make_bench: Any, seed: int, config: dict[str, Any]) -> None:
    seen = []
    for by_itself in (False, True):
        dice = random.Random(seed)
        bench = make_bench(store="memory")
        client, shell, consumer = prepare(bench, by_itself, **config)
        # With little room: no ack of what is delivered only because of another one in the same chunk.
        data = chatter(dice, config.get("max_ack_pending", 61))
        while data:
            cut = dice.choice([len(data), dice.randrange(1, len(data) + 1), dice.randrange(1, len(data) + 1)])
            client.receive(data[:cut])
            bench.settle()
            data = data[cut:]
        client.receive(b"PUB $JS.API.CONSUMER.MSG.NEXT.S.C _P.b 2\r\n50\r\n")
        bench.settle()
        bench.pass_time(31_000_000_000)
        state = json.loads(consumer.acks.encode())
        # When double acks are answered among other things may differ: they wait for the disk.
        said = sorted(bytes(shell.sent).split(b"\r\n"))
        seen.append((said, state, client.in_msgs, client.in_bytes, [*consumer.acks.again], bench.take()))
    assert seen[0] == seen[1]


def test_a_run_is_one_change(make_bench: Any) -> None:
    bench = make_bench()
    client, _, consumer = prepare(bench, False)
    calls: list[list[int]] = []
    ack_many = consumer.ack_many
    consumer.ack_many = lambda seqs: (calls.append(seqs), ack_many(seqs))
    client.receive(b"".join(ack(seq) for seq in range(1, 41)) + b"PING\r\n")
    assert calls == [[*range(1, 41)]] and len(consumer.acks.pending) == 10
    assert consumer.acks.floor.stream_seq == 40
    client.receive(ack(41))
    assert calls[1:] == [[41]]


def test_acks_of_what_was_never_delivered_change_nothing(make_bench: Any) -> None:
    bench = make_bench()
    client, _, consumer = prepare(bench, False)
    client.receive(ack(59) + ack(60))
    assert len(consumer.acks.pending) == 50 and consumer.acked_ns == 0
    client.receive(ack(59) + ack(2) + ack(2))
    assert len(consumer.acks.pending) == 49


def test_a_state_is_saved_once_while_a_commit_is_under_way(make_bench: Any) -> None:
    """What came meanwhile follows; who waits for it is not kept waiting."""
    bench = make_bench()
    client, shell, _ = prepare(bench, False)
    bench.gate.commits.clear()
    for seq in range(1, 11):
        client.receive(ack(seq))
        bench.flush()
    assert bench.gate.commits == [False]
    client.receive(ack(11, reply=b"_P.ack"))
    bench.flush()
    assert bench.gate.commits == [False, True]
    client.receive(ack(12))
    bench.flush()
    bench.settle()
    assert b"MSG _P.ack 1 0" in shell.sent
    bench.reopen()
    (consumer,) = bench.js.consumers["S"].values()
    assert min(consumer.acks.pending) == 13
