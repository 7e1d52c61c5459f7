"""What crosses from one account to another, and what does not."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from edge.core.account_spec import AccountSpec, Destination, Export, Import, Latency, Mapping
from edge.core.auth import ConfiguredUsers, User
from edge.core.exchange import Exchange
from edge.core.times import Clock

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
USERS = ConfiguredUsers(tuple(User(name, name, name.upper()) for name in "abc"))

STREAM = (
    AccountSpec("A", exports=(Export("st.>", service=False),)),
    AccountSpec("B", imports=(Import("A", "st.>", service=False, to="imp.st.>"),)),
)


def service(response: str = "Singleton", **export: Any) -> tuple[AccountSpec, ...]:
    return (
        AccountSpec("A", exports=(Export("svc.*", service=True, response=response, **export),)),
        AccountSpec("B", imports=(Import("A", "svc.*", service=True, to="my.*.svc"),)),
    )


class Site:
    """Accounts A, B and C with clients in them, and a clock that is moved by hand."""

    def __init__(self, bench: Any, specs: tuple[AccountSpec, ...]) -> None:
        self.bench = bench
        self.time = 0
        clock = Clock(lambda: 1_700_000_000 * SECOND + self.time, lambda: self.time, lambda: None)
        self.exchange = Exchange(bench.router, "edge", clock)
        self.exchange.apply(specs)

    def client(self, name: str, **options: bool) -> Any:
        connect = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "user": name, "pass": name}
        return self.bench.client(f"CONNECT {json.dumps(connect | options)}\r\n".encode(), USERS)

    def says(self, client: Any, text: str) -> str:
        return str(self.bench.feed(client, text.encode()).decode())

    def hears(self, client: Any) -> str:
        return str(self.bench.take(client).decode())


@pytest.fixture
def site(bench: Any) -> Callable[..., Site]:
    return lambda specs: Site(bench, specs)


def test_accounts_know_nothing_of_each_other(site: Callable[..., Site]) -> None:
    site_ = site((AccountSpec("A"), AccountSpec("B")))
    a, b = site_.client("a"), site_.client("b")
    site_.says(b, "SUB > 1\r\n")
    site_.says(a, "PUB st.1 1\r\nx\r\n")
    assert site_.hears(b) == ""


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ("imp.st.>", "st.1 st.1.2"), ("imp.st.1", "st.1"), (">", "st.1 st.1.2"), ("imp.*.1", "st.1"), ("*.*.*.2", "st.1.2"),
        ("st.>", ""), ("imp", ""), ("other.>", ""),
    ],
)  # fmt: skip
def test_a_stream_import_brings_what_is_wanted_here(site: Callable[..., Site], wanted: str, there: str) -> None:
    site_ = site(STREAM)
    a, b = site_.client("a"), site_.client("b")
    site_.says(b, f"SUB {wanted} 7\r\n")
    for _ in range(3):  # decided, admitted, known
        site_.says(a, "PUB st.1 1\r\nx\r\nPUB st.1.2 r 1\r\ny\r\nPUB elsewhere 1\r\nz\r\n")
        found = re.findall(r"MSG imp\.(\S+) 7", site_.hears(b))
        assert " ".join(found) == there
    site_.says(b, "UNSUB 7\r\n")
    assert site_.says(a, "PUB st.1 r 1\r\nx\r\n") == "" and site_.hears(b) == ""
    assert len(site_.bench.router.account("A").sublist) == 0


def test_nobody_wants_it_there(site: Callable[..., Site]) -> None:
    """The publisher is told so, although an import exists."""
    site_ = site(STREAM)
    a, _ = site_.client("a"), site_.client("b")
    assert "503" in site_.says(a, "SUB in 1\r\nPUB st.1 in 1\r\nx\r\n")


def test_a_limit_of_messages_counts_those_that_were_imported(site: Callable[..., Site]) -> None:
    site_ = site(STREAM)
    a, b = site_.client("a"), site_.client("b")
    site_.says(b, "SUB imp.st.1 7\r\nUNSUB 7 2\r\n")
    site_.says(a, "PUB st.1 1\r\nx\r\n" * 5)
    assert site_.hears(b).count("MSG imp.st.1 7 1") == 2


def test_queue_members_share_what_is_imported(site: Callable[..., Site]) -> None:
    site_ = site(STREAM)
    a, b, other = site_.client("a"), site_.client("b"), site_.client("b")
    site_.says(b, "SUB imp.st.1 q 7\r\n")
    site_.says(other, "SUB imp.st.1 q 8\r\n")
    site_.says(a, "PUB st.1 1\r\nx\r\n" * 40)
    mine, others = site_.hears(b).count("MSG"), site_.hears(other).count("MSG")
    assert mine + others == 40 and mine and others


def test_a_delivery_keeps_the_subject_that_it_shows(site: Callable[..., Site]) -> None:
    """A consumer that pushes sends to one subject and shows another."""
    site_ = site(STREAM)
    b = site_.client("b")
    site_.says(b, "SUB imp.st.x 1\r\n")
    account = site_.bench.router.account("A")
    assert account.publish("st.x", b"hi", shown="orders.1").receivers == 1
    site_.bench.router.flush()
    assert site_.hears(b) == "MSG orders.1 1 2\r\nhi\r\n"
    assert account.publish("other.x", b"hi", shown="st.x").receivers == 0


def test_a_request_goes_over_and_its_answer_comes_back_once(site: Callable[..., Site]) -> None:
    site_ = site(service())
    a, b = site_.client("a"), site_.client("b")
    site_.says(a, "SUB svc.* 1\r\n")
    site_.says(b, "SUB in 2\r\nPUB my.x.svc in 2\r\nhi\r\n")
    head, *lines = site_.hears(a).split("\r\n")
    reply = re.fullmatch(r"HMSG svc\.x 1 (_R_\.\w+\.\w+) \d+ \d+", head)
    assert reply and lines[1] == 'Nats-Request-Info: {"acc":"B"}' and lines[-2] == "hi"
    site_.says(a, f"PUB {reply[1]} 3\r\nyes\r\nPUB {reply[1]} 5\r\nagain\r\n")
    assert site_.hears(b) == "MSG in 2 3\r\nyes\r\n"


def test_nobody_serves(site: Callable[..., Site]) -> None:
    site_ = site(service())
    b = site_.client("b")
    for _ in range(3):
        assert "NATS/1.0 503" in site_.says(b, "SUB in 2\r\nPUB my.x.svc in 2\r\nhi\r\n")
    assert not any(owed.pending for owed in site_.exchange.owed.values())


def test_a_stream_of_answers_ends_with_an_empty_one(site: Callable[..., Site]) -> None:
    site_ = site(service("Stream"))
    a, b = site_.client("a"), site_.client("b")
    site_.says(a, "SUB svc.x 1\r\n")
    site_.says(b, "SUB in 2\r\nPUB my.x.svc in 2\r\nhi\r\n")
    reply = site_.hears(a).split()[3]
    site_.says(a, f"PUB {reply} 1\r\n1\r\nPUB {reply} 1\r\n2\r\nPUB {reply} 0\r\n\r\nPUB {reply} 1\r\n3\r\n")
    assert site_.hears(b) == "MSG in 2 1\r\n1\r\nMSG in 2 1\r\n2\r\nMSG in 2 0\r\n\r\n"


def test_an_answer_that_is_too_late(site: Callable[..., Site]) -> None:
    site_ = site(service(threshold_ns=SECOND))
    a, b = site_.client("a"), site_.client("b")
    site_.says(a, "SUB svc.x 1\r\n")
    site_.says(b, "SUB in 2\r\nPUB my.x.svc in 2\r\nhi\r\n")
    reply = site_.hears(a).split()[3]
    assert site_.exchange.deadline() == SECOND
    site_.exchange.tick(SECOND)
    assert site_.exchange.deadline() is None
    site_.says(a, f"PUB {reply} 1\r\n1\r\n")
    assert site_.hears(b) == ""


def test_a_requester_that_goes_away_is_forgotten(site: Callable[..., Site]) -> None:
    site_ = site(service(latency=Latency("latency.svc")))
    a, b = site_.client("a"), site_.client("b")
    site_.says(a, "SUB svc.x 1\r\nSUB latency.svc 2\r\n")
    site_.says(b, "SUB in.* 2\r\nPUB my.x.svc in.1 2\r\nhi\r\n")
    site_.hears(a)
    b.close()
    metric = json.loads(site_.hears(a).split("\r\n")[1]) if not site_.bench.router.flush() else None
    assert metric["status"] == 408 and metric["requestor"]["acc"] == "B"
    assert not any(owed.pending for owed in site_.exchange.owed.values())


def test_latency_is_told_to_the_exporter(site: Callable[..., Site]) -> None:
    site_ = site(service(latency=Latency("latency.svc")))
    a, b = site_.client("a"), site_.client("b")
    site_.says(a, "SUB svc.x 1\r\nSUB latency.svc 2\r\n")
    site_.says(b, "SUB in 2\r\nPUB my.x.svc in 2\r\nhi\r\n")
    reply = site_.hears(a).split()[3]
    site_.time = 5_000_000
    metric = json.loads(site_.says(a, f"PUB {reply} 1\r\n1\r\n").split("\r\n")[1])
    assert metric["type"] == "io.nats.server.metric.v1.service_latency" and metric["status"] == 200
    assert (metric["service"], metric["total"]) == (5_000_000, 5_000_000)
    assert metric["requestor"] == {"acc": "B"} and metric["responder"]["user"] == "a"


def test_requests_do_not_go_in_circles(site: Callable[..., Site]) -> None:
    site_ = site((
        AccountSpec("A", exports=(Export("x", True),), imports=(Import("B", "x", True, "x"),)),
        AccountSpec("B", exports=(Export("x", True),), imports=(Import("A", "x", True, "x"),)),
    ))  # fmt: skip
    a = site_.client("a")
    assert "503" in site_.says(a, "SUB in 1\r\nPUB x in 1\r\nx\r\n")


def test_requests_through_two_imports(site: Callable[..., Site]) -> None:
    site_ = site((
        AccountSpec("A", exports=(Export("a.x", True),)),
        AccountSpec("B", exports=(Export("b.x", True),), imports=(Import("A", "a.x", True, "b.x"),)),
        AccountSpec("C", imports=(Import("B", "b.x", True, "c.x"),)),
    ))  # fmt: skip
    a, c = site_.client("a"), site_.client("c")
    site_.says(a, "SUB a.x 1\r\n")
    site_.says(c, "SUB in 2\r\nPUB c.x in 2\r\nhi\r\n")
    heard = site_.hears(a)
    assert '"acc":"C"' in heard and '"svc":"B"' in heard
    site_.says(a, f"PUB {heard.split()[3]} 3\r\nyes\r\n")
    assert site_.hears(c) == "MSG in 2 3\r\nyes\r\n"


def test_only_for_some(site: Callable[..., Site]) -> None:
    site_ = site((
        AccountSpec("A", exports=(Export("p", True, accounts=frozenset("C")), Export("t.*", False, account_position=2))),
        AccountSpec("B", imports=(Import("A", "p", True, "p"), Import("A", "t.B", False, "t"), Import("A", "t.C", False, "u"))),
    ))  # fmt: skip
    a, b = site_.client("a"), site_.client("b")
    site_.says(a, "SUB p 1\r\n")
    site_.says(b, "SUB t 2\r\nSUB u 3\r\nPUB p 1\r\nx\r\n")
    assert site_.hears(a) == ""
    site_.says(a, "PUB t.B 1\r\nx\r\nPUB t.C 1\r\ny\r\n")
    assert site_.hears(b) == "MSG t 2 1\r\nx\r\n"


def test_mappings_of_the_exporter_hold_for_requests(site: Callable[..., Site]) -> None:
    exporter, importer = service()
    site_ = site((exporter._replace(mappings=(Mapping("svc.old", (Destination("svc.new"),)),)), importer))
    a, b = site_.client("a"), site_.client("b")
    site_.says(a, "SUB svc.new 1\r\n")
    site_.says(b, "PUB my.old.svc 2\r\nhi\r\n")
    assert site_.hears(a).startswith("HMSG svc.new 1 ")


def test_new_rules_end_what_the_old_ones_allowed(site: Callable[..., Site]) -> None:
    site_ = site(STREAM)
    a, b = site_.client("a"), site_.client("b")
    site_.says(b, "SUB imp.st.1 7\r\n")
    site_.says(a, "PUB st.1 1\r\nx\r\n" * 3)
    assert site_.hears(b).count("MSG") == 3
    site_.exchange.apply((AccountSpec("A"), AccountSpec("B")))
    site_.says(a, "PUB st.1 1\r\nx\r\n")
    assert site_.hears(b) == ""
    site_.exchange.apply(STREAM)
    site_.says(a, "PUB st.1 1\r\nx\r\n")
    assert site_.hears(b).count("MSG") == 1
