from types import SimpleNamespace
from typing import Any

import pytest

from edge.core.account import Traffic
from edge.core.peer import Link, PeerKind
from edge.monitor import ledger as ledger_module
from edge.monitor.ledger import Tally


def names(bench: Any) -> list[str]:
    return [ended.conn.name for ended in bench.ledger.ended]


def test_so_many_are_remembered_and_no_more(bench: Any) -> None:
    for name in "abcde":
        bench.close(bench.client("A", name=name))
    assert names(bench) == ["c", "d", "e"]


def test_what_is_remembered_is_what_it_was_before_it_left(bench: Any) -> None:
    client = bench.client("A", name="n", lang="l", version="v")
    bench.say(client, "SUB x q 1\r\nSUB y 2\r\nPUB y 3\r\nabc\r\n")
    bench.time = 5
    client.shell.transport.pending = 17
    bench.close(client, "Read Error")
    (ended,) = bench.ledger.ended
    conn = ended.conn
    assert (conn.name, conn.lang, conn.version, conn.user, conn.account, conn.reason) == ("n", "l", "v", "A", "A", "Read Error")
    assert conn.traffic == Traffic(1, 3, 1, 3)
    assert (conn.subscriptions, conn.pending, conn.stop_ns - conn.start_ns) == (2, 17, 5)
    assert [(sub.subject, sub.queue, sub.sid, sub.msgs) for sub in ended.subs] == [("x", "q", "1", 0), ("y", "", "2", 1)]


def test_who_was_refused_has_no_account(bench: Any) -> None:
    client = bench.client("A")
    bench.close(client, "Authentication Failure")
    assert bench.ledger.ended[0].conn.account == ""


def test_slow_and_stale_ones_are_counted(bench: Any) -> None:
    reasons = ("Slow Consumer (Pending Bytes)", "Slow Consumer (Write Deadline)", "Stale Connection", "Client Closed")
    for reason in reasons:
        bench.close(bench.client("A"), reason)
    assert (bench.ledger.slow, bench.ledger.stale) == (Tally(2, 0), Tally(1, 0))
    assert Tally(1, 1).counted(PeerKind.LEAF) == Tally(1, 2)


def test_subscriptions_have_a_bound_of_their_own(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest connections lose theirs first; the connections themselves stay."""
    monkeypatch.setattr(ledger_module, "MAX_SUBSCRIPTIONS", 5)
    for name, count in (("a", 3), ("b", 0), ("c", 4)):
        client = bench.client("A", name=name)
        bench.say(client, "".join(f"SUB s.{i} {i}\r\n" for i in range(count)))
        bench.close(client)
    assert names(bench) == ["a", "b", "c"]
    assert [len(ended.subs) for ended in bench.ledger.ended] == [0, 0, 4]
    assert bench.ledger.kept == 4
    many = bench.client("A", name="d")
    bench.say(many, "".join(f"SUB s.{i} {i}\r\n" for i in range(9)))
    bench.close(many)
    assert [len(ended.subs) for ended in bench.ledger.ended] == [0, 0, 5]
    assert bench.ledger.ended[-1].conn.subscriptions == 9


def test_what_the_ring_lets_go_is_let_go(bench: Any) -> None:
    for _ in range(8):
        client = bench.client("A")
        bench.say(client, "SUB x 1\r\n")
        bench.close(client)
    assert (len(bench.ledger.ended), len(bench.ledger.detailed), bench.ledger.kept) == (3, 3, 3)


class Hub(Link):
    """As a link looks from here."""

    def __init__(self, account: Any) -> None:
        super().__init__("hub")
        self.account = account
        self.remote = "hub.example:7422"
        self.wire = None
        self.in_msgs, self.in_bytes, self.out_msgs, self.out_bytes = 10, 20, 30, 40
        self.now = self.rtt = self.pending_bytes = self.cid = 0
        self.user, self.said = "", ("", "")
        self.subs = {("x", ""): SimpleNamespace(subject="x", queue="", delivered=2)}


def test_a_link_counts_from_its_connection_on(bench: Any) -> None:
    account = bench.router.account("A")
    link = Hub(account)
    bench.ledger.connected(link, account)
    since = bench.ledger.links[link]
    assert (since.cid, since.ip, since.port) == (bench.router.last_cid, "hub.example", 7422)
    link.in_msgs, link.out_bytes = 11, 45
    bench.ledger.leaving(link, account, "Stale Connection")
    (ended,) = bench.ledger.ended
    assert (ended.conn.kind, ended.conn.type, ended.conn.traffic) == ("Leafnode", "", Traffic(1, 0, 0, 5))
    assert [sub.sid for sub in ended.subs] == ["x"]
    assert not bench.ledger.links
    assert bench.ledger.stale == Tally(0, 1)


def test_a_link_that_never_came_up_is_nobody(bench: Any) -> None:
    account = bench.router.account("A")
    bench.ledger.leaving(Hub(account), account, "Client Closed")
    assert not bench.ledger.ended
