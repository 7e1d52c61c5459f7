"""The memo must never be seen from outside: every conversation gives the same with it and without."""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge.core import hotpath
from edge.core.permissions import Permissions, SubjectRule
from edge.errors import ProtocolError

Make = Callable[[], Any]


def test_a_run_is_delivered_whole_and_in_order(bench: Any) -> None:
    pub, sub = bench.client(), bench.client()
    bench.feed(sub, b"SUB a 1\r\n")
    frames = [b"%05d" % i for i in range(3000)]
    data = b"".join(b"PUB a 5\r\n%b\r\n" % frame for frame in frames)
    for at in range(0, len(data), 4099):
        bench.feed(pub, data[at : at + 4099])
    assert bench.take(sub) == b"".join(b"MSG a 1 5\r\n%b\r\n" % frame for frame in frames)
    assert pub.in_msgs == 3000 and sub.out_msgs == 3000 and pub.in_bytes == sub.out_bytes == 15000
    assert pub.intake.memo is not None and len(pub.intake.memo.routes) == 1


def test_a_payload_that_looks_like_the_line_is_a_payload(bench: Any) -> None:
    pub, sub = bench.client(), bench.client()
    bench.feed(sub, b"SUB a 1\r\n")
    line = b"PUB a 18\r\n"
    nasty = [line + b"12345678", b"x" * 18, b"1234" + line + b"5678", b"\r\n" * 9, line[2:] + line]
    for _ in range(4):
        bench.feed(pub, b"".join(line + body + b"\r\n" for body in nasty * 3))
        assert bench.take(sub) == b"".join(b"MSG a 1 18\r\n" + body + b"\r\n" for body in nasty * 3)


@pytest.mark.parametrize("at", range(8))
def test_a_fault_within_a_run_is_found_after_what_came_before(bench: Any, at: int) -> None:
    pub, sub = bench.client(), bench.client()
    bench.feed(sub, b"SUB a 1\r\n")
    bench.feed(pub, b"PUB a 2\r\nok\r\n" * 3)
    bench.take(sub)
    frames = [b"PUB a 2\r\nok\r\n"] * 8
    frames[at] = b"PUB a 2\r\nok--"
    with pytest.raises(ProtocolError, match="Unknown Protocol Operation"):
        bench.feed(pub, b"".join(frames))
    assert bench.take(sub) == b"MSG a 1 2\r\nok\r\n" * at


def test_interest_that_changes_is_seen_by_the_next_message(bench: Any) -> None:
    pub, sub = bench.client(), bench.client()
    bench.feed(sub, b"SUB a 1\r\n")
    bench.feed(pub, b"PUB a 1\r\nx\r\n" * 4)
    bench.feed(sub, b"SUB a 2\r\n")
    bench.take(sub)
    bench.feed(pub, b"PUB a 1\r\ny\r\n")
    assert bench.take(sub) == b"MSG a 1 1\r\ny\r\nMSG a 2 1\r\ny\r\n"
    bench.feed(sub, b"UNSUB 1\r\nUNSUB 2 2\r\n")
    bench.feed(pub, b"PUB a 1\r\nz\r\n" * 3)
    assert bench.take(sub) == b"MSG a 2 1\r\nz\r\n"


def test_a_queue_group_gets_each_message_of_a_run_once(bench: Any) -> None:
    pub = bench.client()
    members = [bench.client() for _ in range(3)]
    for member in members:
        bench.feed(member, b"SUB a q 1\r\n")
    bench.feed(pub, b"PUB a 1\r\nx\r\n" * 300)
    counts = [bench.take(member).count(b"MSG a 1 1\r\nx\r\n") for member in members]
    assert sum(counts) == 300 and min(counts) > 50


def test_services_see_headers_and_payload_apart(bench: Any) -> None:
    pub = bench.client()
    seen: list[tuple[str, str, bytes, bytes]] = []
    bench.router.account("$G").subscribe("s.>", lambda *message: seen.append(message))
    for _ in range(4):
        bench.feed(pub, b"HPUB s.x r.1 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\nPUB s.x 2\r\nyo\r\n")
    assert seen == [("s.x", "r.1", b"NATS/1.0\r\nK: V\r\n\r\n", b"hi"), ("s.x", "", b"", b"yo")] * 4


def test_the_memo_is_bounded(bench: Any) -> None:
    pub, sub = bench.client(), bench.client()
    bench.feed(sub, b"SUB > 1\r\n")
    for i in range(2 * hotpath.MAX_ROUTES + 10):
        bench.feed(pub, b"PUB s%d 0\r\n\r\nPUB s%d 0\r\n\r\n" % (i, i))
    assert len(pub.intake.memo.routes) <= hotpath.MAX_ROUTES and len(pub.intake.memo.seen) <= hotpath.MAX_SEEN


def test_an_endless_line_is_cut_off(bench: Any) -> None:
    for begin in (b"PUB ", b"PING", b"CONNECT      ", b"pub" + b" " * 90):
        client = bench.client()
        bench.feed(client, begin)
        with pytest.raises(ProtocolError, match="maximum control line exceeded"):
            for _ in range(100):
                bench.feed(client, b"x" * 100)
        spaces = bench.client()
        with pytest.raises(ProtocolError, match="maximum control line exceeded"):
            for _ in range(100):
                bench.feed(spaces, begin + b" " * 100)


def test_what_can_be_no_operation_ends_before_its_line_does(bench: Any) -> None:
    for begin in (b"X", b"\x16\x03\x01", b"PX", b"+OX", b" PUB", b"CONNEKT"):
        with pytest.raises(ProtocolError, match="Unknown Protocol Operation"):
            bench.feed(bench.client(), begin)
    for begin in (b"P", b"p", b"-", b"+ok", b"connect", b"HPUB", b"UNSUB 1"):
        assert bench.feed(bench.client(), begin) == b""


def test_max_control_line_does_not_count_the_verb(bench: Any) -> None:
    line = b"PUB " + b"a" * 4094 + b" 0"
    assert bench.feed(bench.client(), line + b"\r\n\r\nPING\r\n") == b"PONG\r\n"
    client = bench.client()
    bench.feed(client, line + b"\r")
    assert bench.feed(client, b"\n\r\nPING\r\n") == b"PONG\r\n"
    with pytest.raises(ProtocolError, match="maximum control line exceeded"):
        bench.feed(client, b"PUB " + b"a" * 4095 + b" 0\r\n")


def test_max_control_line_holds_for_a_known_subject_with_a_long_reply(bench: Any) -> None:
    client, other = bench.client(), bench.client()
    bench.feed(other, b"SUB a 1\r\n")
    bench.feed(client, b"PUB a r 0\r\n\r\n" * 4)
    with pytest.raises(ProtocolError, match="maximum control line exceeded"):
        bench.feed(client, b"PUB a " + b"r" * 5000 + b" 0\r\n\r\n")


OPERATIONS = st.sampled_from(
    [
        b"SUB a.b 1\r\n", b"SUB a.* q 2\r\n", b"SUB > 3\r\n", b"UNSUB 1\r\n", b"UNSUB 3 4\r\n", b"SUB a.b q 4\r\n",
        b"PUB a.b 3\r\nabc\r\n", b"PUB a.b 3\r\nabc\r\n", b"PUB a.b 3\r\n\r\n\r\r\n", b"PUB a.c r 0\r\n\r\n", b"PING\r\n",
        b"HPUB a.b 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\n", b"PUB none inbox 1\r\nx\r\n", b"SUB inbox 9\r\n", b"pub x 1\nz\r\n",
    ]
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OPERATIONS, max_size=40), st.lists(st.integers(1, 40), min_size=1, max_size=20))
@example([b"SUB a.b 1\r\n", b"SUB > 3\r\n", *[b"PUB a.b 3\r\nabc\r\n"] * 4], [28])
def test_memo_and_no_memo_say_the_same_however_it_is_cut(
    make_bench: Make, operations: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(operations)
    outputs = []
    for with_memo in (True, False):
        bench = make_bench()
        client = bench.client()
        if not with_memo:
            client.intake.memo = None
        state = random.getstate()
        random.seed(1)
        at, turn, out = 0, 0, b""
        while at < len(data):
            size = cuts[turn % len(cuts)] if with_memo else len(data)
            out += bench.feed(client, data[at : at + size])
            at, turn = at + size, turn + 1
        random.setstate(state)
        outputs.append(out)
    assert outputs[0].count(b"MSG") == outputs[1].count(b"MSG") and outputs[0].count(b"PONG") == outputs[1].count(
        b"PONG"
    )
    if b" q " not in data:  # messages of one run go to one subscription after the other
        assert by_subscription(outputs[0]) == by_subscription(outputs[1])


def by_subscription(out: bytes) -> dict[bytes, list[bytes]]:
    """What each was sent, in its order."""
    found: dict[bytes, list[bytes]] = {}
    for head, sid in re.findall(rb"(H?MSG \S+ (\d+) [^\r]*\r\n)", out):
        found.setdefault(sid, []).append(head)
    return found


@pytest.mark.parametrize("verb", ["PUB", "HPUB"])
def test_requests_keep_their_own_replies(bench: Any, verb: str) -> None:
    pub, sub = bench.client(), bench.client()
    seen: list[tuple[str, str, bytes, bytes]] = []
    bench.router.account("$G").subscribe("s.>", lambda *message: seen.append(message))
    bench.feed(sub, b"SUB s.* 9\r\n")
    head = b"NATS/1.0\r\nK: V\r\n\r\n" if verb == "HPUB" else b""
    expected = b""
    for i in range(10):
        body = head + b"x" * i
        sizes = b"18 %d" % len(body) if head else b"%d" % len(body)
        bench.feed(pub, b"%b s.a r.%d %b\r\n%b\r\n" % (verb.encode(), i, sizes, body))
        kind = b"HMSG" if head else b"MSG"
        expected += b"%b s.a 9 r.%d %b\r\n%b\r\n" % (kind, i, sizes, body)
    assert bench.take(sub) == expected
    assert seen == [("s.a", f"r.{i}", head, b"x" * i) for i in range(10)]
    assert pub.intake.memo is not None and len(pub.intake.memo.requests) == 1 and not pub.intake.memo.routes


@pytest.mark.parametrize(
    "fault", [b"PUB s r x\r\n", b"PUB s r 2\r\nabcd\r\n", b"PUB s r 99999999\r\n", b"HPUB s r 9 3\r\nabc\r\n"]
)
def test_a_known_request_is_checked_like_any_other(bench: Any, fault: bytes) -> None:
    pub = bench.client()
    bench.router.account("$G").subscribe("s", lambda *message: None)
    for i in range(3):
        bench.feed(pub, b"PUB s r%d 1\r\nx\r\nHPUB s r%d 12 12\r\nNATS/1.0\r\n\r\n\r\n" % (i, i))
    with pytest.raises(ProtocolError):
        bench.feed(pub, fault)


LINES = b"".join(b"PUB $JS.ACK.S.C.%d 2\r\nab\r\n" % i for i in range(10))


def readable(bench: Any) -> tuple[list[str], list[int]]:
    """A service that is called for each message, or reads all of them itself: what each way was used for."""
    called: list[str] = []
    read: list[int] = []

    def read_run(data: bytes, pos: int) -> tuple[int, int, int]:
        rest = data[pos:].split(b"PING")[0]
        read.append(rest.count(b"PUB"))
        return rest.count(b"PUB"), 2 * rest.count(b"PUB"), pos + len(rest)

    sub = bench.router.account("$G").subscribe("$JS.ACK.S.C.*", lambda subject, *_: called.append(subject))
    sub.read_run = read_run
    return called, read


def test_a_service_reads_a_run_of_its_own_subjects(bench: Any) -> None:
    called, read = readable(bench)
    pub = bench.client()
    assert bench.feed(pub, LINES + b"PING\r\n") == b"PONG\r\n"
    assert (called, read) == ([], [10]) and (pub.in_msgs, pub.in_bytes) == (10, 20)
    bench.feed(pub, b"PUB $JS.ACK.S.D.1 2\r\nab\r\n")
    assert read == [10] and pub.in_msgs == 11


@pytest.mark.parametrize("other", ["$JS.ACK.>", "$JS.ACK.S.C.3", "*.*.*.C.*", "$JS.ACK.S.C.*.more"])
def test_others_get_what_they_listen_to(bench: Any, other: str) -> None:
    called, read = readable(bench)
    pub, sub = bench.client(), bench.client()
    bench.feed(pub, LINES)
    bench.feed(sub, b"SUB %b 1\r\n" % other.encode())
    bench.feed(pub, LINES)
    assert read == [10] and len(called) == 10
    assert bench.take(sub).count(b"MSG $JS.ACK.S.C.3 ") == (0 if other.endswith("more") else 1)
    bench.feed(sub, b"UNSUB 1\r\n")
    bench.feed(pub, LINES)
    assert read == [10, 10] and len(called) == 10


@pytest.mark.parametrize(
    ("rule", "is_read", "refused"),
    [
        (SubjectRule(("$JS.ACK.>",)), True, 0),
        (SubjectRule(deny=("$JS.ACK.S.C.5",)), False, 1),
        (SubjectRule(deny=("$JS.ACK.S.D.>",)), True, 0),
        (SubjectRule(("$JS.ACK.S.C.5",)), False, 9),
    ],
    ids=str,
)
def test_only_who_may_publish_all_of_them(bench: Any, rule: SubjectRule, is_read: bool, refused: int) -> None:
    called, read = readable(bench)
    pub = bench.client()
    pub.set_permissions(Permissions(publish=rule))
    said = bench.feed(pub, LINES)
    assert said.count(b"-ERR") == refused and bool(read) is is_read
    assert len(called) + sum(read) == 10 - refused


@pytest.mark.parametrize("limits", [{"max_control_line": 1000}, {"max_payload": 10}], ids=str)
def test_narrow_limits_are_kept_line_by_line(bench: Any, limits: dict[str, int]) -> None:
    called, read = readable(bench)
    bench.feed(bench.client(**limits), LINES)
    assert len(called) == 10 and not read
