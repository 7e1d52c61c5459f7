from typing import Any

from edge.core.account_spec import Destination, Mapping
from edge.core.mappings import make_mappings
from edge.core.peer import Link, Subscription


class Recorder(Link):
    """A leaf that writes down what it would carry."""

    def __init__(self, cluster: str = "") -> None:
        super().__init__("leaf")
        self.of_cluster = cluster
        self.carried: list[tuple[str, str, list[str], bytes, bytes]] = []

    @property
    def cluster(self) -> str:
        return self.of_cluster

    def enqueue(self, subject: str, reply: str, queues: list[str], headers: bytes, payload: bytes) -> bool:
        self.carried.append((subject, reply, queues, headers, payload))
        return not subject.startswith("deny.")


def test_publish_tells_who_got_it(bench: Any) -> None:
    account = bench.router.account("$G")
    got: list[tuple[str, str, bytes, bytes]] = []
    assert account.publish("a.b", b"x") == (0, False)
    account.subscribe("a.*", lambda *message: got.append(message))
    account.subscribe("a.>", lambda *message: got.append(message), capture=True)
    assert account.publish("a.b", b"x", reply="r", headers=b"h", capture_reply="c") == (2, True)
    assert sorted(got) == [("a.b", "c", b"h", b"x"), ("a.b", "r", b"h", b"x")]


def test_a_delivery_goes_by_inbox_and_shows_the_stored_subject(bench: Any) -> None:
    client = bench.client()
    bench.feed(client, b"SUB _INBOX.1 7\r\n")
    account = bench.router.account("$G")
    account.publish("_INBOX.1", b"hi", reply="$JS.ACK.S.C.1.1.1.1.0", shown="orders.1")
    bench.router.flush()
    assert bench.take(client) == b"MSG orders.1 7 $JS.ACK.S.C.1.1.1.1.0 2\r\nhi\r\n"


def test_a_leaf_gets_one_copy_with_the_queues_it_serves(bench: Any) -> None:
    account = bench.router.account("$G")
    leaf = Recorder()
    for subject, queue in (("a.*", ""), ("a.>", ""), ("a.b", "q"), ("a.b", "r")):
        account.add(Subscription(leaf, subject, queue))
    assert account.publish("a.b", b"x", reply="r1").receivers == 1
    assert leaf.carried == [("a.b", "r1", ["q", "r"], b"", b"x")]
    here = bench.client()
    bench.feed(here, b"SUB a.b q 1\r\n")
    account.publish("a.b", b"y")
    bench.router.flush()
    assert leaf.carried[1][2] == ["r"] and bench.take(here) == b"MSG a.b 1 1\r\ny\r\n"


def test_a_leaf_that_may_not_carry_it_is_no_receiver(bench: Any) -> None:
    account = bench.router.account("$G")
    account.add(Subscription(Recorder(), ">"))
    assert account.publish("deny.x").receivers == 0 and account.publish("ok").receivers == 1


def test_a_delivery_over_a_leaf_carries_the_stored_subject_behind_the_reply(bench: Any) -> None:
    account = bench.router.account("$G")
    leaf = Recorder()
    account.add(Subscription(leaf, "_INBOX.*"))
    account.publish("_INBOX.1", b"hi", reply="$JS.ACK.x", shown="orders.1")
    assert leaf.carried == [("_INBOX.1", "$JS.ACK.x@orders.1", [], b"", b"hi")]


def test_what_a_hub_sends_reaches_plain_and_named_queues_but_not_its_own_cluster(bench: Any) -> None:
    account = bench.router.account("$G")
    hub, other, client = Recorder("c"), Recorder("c"), bench.client()
    for link in (hub, other):
        account.add(Subscription(link, ">"))
    bench.feed(client, b"SUB a 1\r\nSUB a q 2\r\nSUB a r 3\r\n")
    account.deliver_from_leaf(hub, "a", "back", b"", b"x", ["q"])
    bench.router.flush()
    assert bench.take(client) == b"MSG a 1 back 1\r\nx\r\nMSG a 2 back 1\r\nx\r\n"
    assert hub.carried == other.carried == []
    bench.feed(client, b"SUB inbox 4\r\n")
    account.deliver_from_leaf(hub, "inbox", "$JS.ACK.S.C.1.1.1.1.0@o.1", b"", b"x", [])
    bench.router.flush()
    assert bench.take(client) == b"MSG o.1 4 $JS.ACK.S.C.1.1.1.1.0 1\r\nx\r\n"


def test_what_a_hub_sends_goes_to_another_hub_that_wants_it(bench: Any) -> None:
    account = bench.router.account("$G")
    hub, other = Recorder("c"), Recorder("d")
    account.add(Subscription(other, "a"))
    account.add(Subscription(other, "a", "q"))
    account.add(Subscription(hub, "a", "q"))
    account.deliver_from_leaf(hub, "a", "", b"", b"x", ["q"])
    account.deliver_from_leaf(hub, "a", "", b"", b"y", [])
    assert other.carried == [("a", "", ["q"], b"", b"x"), ("a", "", [], b"", b"y")] and hub.carried == []


def test_a_mapped_message_reaches_queues_that_the_hub_does_not_know_of(bench: Any) -> None:
    account = bench.router.account("$G")
    account.mappings = make_mappings([Mapping("a", (Destination("b"),))])
    client = bench.client()
    bench.feed(client, b"SUB b q 1\r\nSUB c q 2\r\n")
    for subject in ("a", "c"):
        account.deliver_from_leaf(Recorder(), subject, "", b"", b"x", [])
    bench.router.flush()
    assert bench.take(client) == b"MSG b 1 1\r\nx\r\n"


def test_answers_to_many_inboxes(bench: Any) -> None:
    client = bench.client()
    bench.feed(client, b"SUB i.* 1\r\nSUB j.7 2\r\nUNSUB 2 1\r\n")
    bench.router.account("$G").publish_many([("i.1", b"a"), ("j.7", b"b"), ("j.7", b"c"), ("none.1", b"d"), ("i.2", b"e")])
    bench.router.flush()
    assert bench.take(client) == b"MSG i.1 1 1\r\na\r\nMSG j.7 2 1\r\nb\r\nMSG i.2 1 1\r\ne\r\n"


def test_interest_is_announced_to_listeners(bench: Any) -> None:
    account = bench.router.account("$G")
    heard: list[tuple[str, bool]] = []
    account.interest_listeners.append(lambda sub, added: heard.append((sub.subject, added)))
    client = bench.client()
    bench.feed(client, b"SUB a 1\r\nSUB b 2\r\nUNSUB 1\r\n")
    client.close()
    assert heard == [("a", True), ("b", True), ("a", False), ("b", False)]


def test_many_answers_are_what_each_by_itself_is(make_bench: Any) -> None:
    """To one receiver and to several, to nobody, under beginnings that change, and past a literal."""
    seen = []
    for together in (True, False):
        bench = make_bench()
        asker, other, queued = bench.client(), bench.client(), bench.client()
        bench.feed(asker, b"SUB _I.a.* 1\r\nSUB _I.b 2\r\nSUB top 3\r\nSUB _I.c.* 4\r\nSUB _I.d.> 5\r\n")
        bench.feed(other, b"SUB _I.c.* 1\r\nSUB _I.e.5 2\r\nSUB _I.e.* 3\r\n")
        bench.feed(queued, b"SUB _I.f.* q 1\r\n")
        begins = ["_I.a", "_I.a", "_I", "_I.c", "_I.e", "_I.f", "_I.g", "_I.d.deep", "_I.a"]
        messages = [(f"{begin}.{i}", b"%d" % i) for begin in begins for i in range(8)]
        messages += [("_I.b", b"b"), ("top", b"t"), ("_I.a.\udcff", b""), ("_I.a.9", b"end")]
        account = bench.router.account("$G")
        for batch in [messages] if together else [[message] for message in messages]:
            account.publish_many(batch)
        bench.router.flush()
        clients = (asker, other, queued)
        counts = [(client.out_msgs, client.out_bytes) for client in clients]
        delivered = [sub.delivered for client in clients for sub in client.subs.values()]
        seen.append(([bench.take(client) for client in clients], counts, delivered))
    assert seen[0] == seen[1] and all(seen[0][0])
