"""Messages of a link by the fast way and by the general one: everybody hears the same."""

import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core.auth import ConfiguredUsers, Credentials
from edge.core.leaf_inbound import InboundLink, LeafTerms
from edge.core.leaf_wire import LeafIdentity
from edge.core.router import Router
from edge.protocol.leaf import message_head

IDENTITY = LeafIdentity("NHUB", "hub", "2.15.1", "", False, 1 << 20)
CONNECT = b'CONNECT {"name":"%b","cluster":"%b","headers":true,"version":"2.15.1"}\r\n'


class Host:
    terms = LeafTerms()

    def info(self, cid: int, more: dict[str, object]) -> dict[str, object]:
        return {"client_id": 1, **more}

    def wall(self) -> int:
        return 1

    def monotonic(self) -> int:
        return 1


class Shell:
    """The connection of a link."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None: ...
    def encrypt(self) -> None: ...
    def compress(self) -> None: ...
    def on_verdict(self) -> None: ...
    def unsent(self) -> int:
        return 0

    def acknowledged(self) -> int:
        return 0

    def credentials(self) -> Credentials:
        return Credentials()


def leaf(router: Router, name: bytes, fast: bool = True, admitted: bool = True) -> tuple[InboundLink, Shell]:
    link, shell = InboundLink(router, Host(), ConfiguredUsers(), IDENTITY), Shell()
    link.meet("127.0.0.1", 1)
    link.opened(shell, shell, 1)
    if not fast:
        link.parser.take = None
    if admitted:
        link.receive(CONNECT % (name, name), 1)
    router.flush()
    shell.data = b""
    return link, shell


SUBJECTS = ["a", "a.b", "a.c", "q"]
messages = st.lists(
    st.tuples(
        st.sampled_from(SUBJECTS),
        st.sampled_from(["", "", "", "r.1"]),
        st.sampled_from([(), (), ("g",), ("g", "h")]),
        st.sampled_from([b"", b"", b"NATS/1.0\r\nK: V\r\n\r\n"]),
        st.sampled_from([b"", b"x", b"xy", b"LMSG a 1\r\nx", b"\r\n", b"LMSG a.b 0\r\n\r\n"]),
        st.integers(1, 9),
    ),
    max_size=12,
)


def wire(sent: list[Any]) -> bytes:
    return b"".join(
        (message_head(subject, reply, queues, len(headers), len(headers) + len(payload)) + headers + payload + b"\r\n") * times
        for subject, reply, queues, headers, payload, times in sent
    )


def heard(make_bench: Callable[[], Any], data: bytes, cuts: list[int], fast: bool) -> list[object]:
    bench = make_bench()
    subs = (b"SUB a.* 1\r\n", b"SUB a.> 2\r\nSUB a 3\r\n", b"SUB q g 4\r\nSUB a.b g 5\r\nUNSUB 5 3\r\n", b"SUB > h 6\r\n")
    clients = [bench.client() for _ in subs]  # order is promised within a subscription
    for client, sub in zip(clients, subs, strict=True):
        bench.feed(client, sub)
    served: list[object] = []
    bench.router.account("$G").subscribe("a.c", lambda *message: served.append(message))
    link, own = leaf(bench.router, b"one", fast)
    other, out = leaf(bench.router, b"two")
    for each in (link, other):
        each.receive(b"LS+ a.>\r\nLS+ q\r\n", 1)
    bench.router.flush()
    own.data = out.data = b""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for begin, end in itertools.pairwise(edges):
        link.receive(data[begin:end], 2)
        bench.router.flush()
    return [
        *(bench.take(client) for client in clients), served, own.data, out.data, link.in_msgs, link.in_bytes,
        other.out_msgs, other.out_bytes, [sub.delivered for client in clients for sub in client.subs.values()],
    ]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=messages, cuts=st.lists(st.integers(0, 5_000), max_size=4))
def test_both_ways_bring_the_same(make_bench: Any, sent: list[Any], cuts: list[int]) -> None:
    data = wire(sent)
    assert heard(make_bench, data, cuts, fast=True) == heard(make_bench, data, cuts, fast=False)


def test_what_clients_publish_reaches_a_link_once_by_either_way(make_bench: Any) -> None:
    bench = make_bench()
    client = bench.client()
    link, shell = leaf(bench.router, b"one")
    link.receive(b"LS+ a.>\r\nLS+ a.*\r\nLS+ q g 1\r\n", 1)
    bench.router.flush()
    shell.data = b""
    for chunk in (b"PUB a.b 1\r\nx\r\n" * 50, b"HPUB a.b 12 13\r\nNATS/1.0\r\n\r\ny\r\n" * 3, b"PUB q 1\r\nz\r\n" * 3):
        bench.feed(client, chunk)
    assert shell.data == (
        b"LMSG a.b 1\r\nx\r\n" * 50 + b"HMSG a.b 12 13\r\nNATS/1.0\r\n\r\ny\r\n" * 3 + b"LMSG q | g 1\r\nz\r\n" * 3
    )
    assert (link.out_msgs, link.out_bytes) == (56, 92)


def test_a_link_that_is_full_is_given_nothing_more(make_bench: Any) -> None:
    bench = make_bench()
    client = bench.client()
    link, shell = leaf(bench.router, b"one")
    link.receive(b"LS+ a.>\r\n", 1)
    bench.feed(client, b"PUB a.b 1\r\nx\r\n" * 5)
    shell.data = b""
    link.congested = True
    bench.feed(client, b"PUB a.b 1\r\nx\r\n" * 5)
    assert shell.data == b"" and link.dropped == 5
    link.congested = False
    bench.feed(client, b"PUB a.b 1\r\nx\r\n")
    assert shell.data == b"LMSG a.b 1\r\nx\r\n"
