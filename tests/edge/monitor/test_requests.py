import gzip
import json
from typing import Any

import pytest

SERVER_KEYS = [
    "name", "host", "id", "domain", "ver", "tags", "feature_flags", "jetstream", "flags", "seq", "time",
]  # fmt: skip


@pytest.mark.parametrize("subject", ["$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.SERVER.NID.CONNZ"])
def test_a_document_comes_in_the_server_s_envelope(bench: Any, subject: str) -> None:
    system = bench.client("SYS")
    answer = bench.ask(system, subject, '{"limit":2,"server_name":"leaf"}')
    assert list(answer) == ["server", "data"]
    assert list(answer["server"]) == SERVER_KEYS
    assert answer["data"] == {"name": "CONNZ", "options": {"limit": 2}}
    assert bench.ask(system, subject)["server"]["seq"] == answer["server"]["seq"] + 1


def test_what_this_server_is_not_called_is_not_answered(bench: Any) -> None:
    system = bench.client("SYS")
    assert bench.ask(system, "$SYS.REQ.SERVER.OTHER.VARZ") == "503"
    assert bench.ask(system, "$SYS.REQ.SERVER.NID.BOGUS") == "503"


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        ('{"server_name":"leaf"}', True),
        ('{"server_name":"leaf","exact_match":true}', False),
        ('{"server_name":"leaf one","exact_match":true}', True),
        ('{"host":"127"}', True),
        ('{"cluster":"x"}', False),
        ('{"tags":["PI","site:a"]}', True),
        ('{"tags":["pi","other"]}', False),
        ('{"domain":"edge"}', True),
        ('{"domain":"hub"}', False),
        ('{"server_name":null,"bogus":7}', True),
    ],
)
def test_the_filter_says_which_servers_answer(bench: Any, body: str, answers: bool) -> None:
    system = bench.client("SYS")
    for subject in ("$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.NID.RELOAD"):
        assert (bench.ask(system, subject, body) is not None) == answers, subject


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ("{bad", "invalid character 'b' looking for beginning of object key string"),
        ("{", "unexpected end of JSON input"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("{}x", "invalid character 'x' after top-level value"),
        ("[]", "json: cannot unmarshal array into Go value of type server.ConnzEventOptions"),
        ('{"offset":"x"}', "json: cannot unmarshal string into Go struct field ConnzEventOptions.offset of type int"),
        ('{"cid":-1}', "json: cannot unmarshal number -1 into Go struct field ConnzEventOptions.cid of type uint64"),
        ('{"auth":1}', "json: cannot unmarshal number into Go struct field ConnzEventOptions.auth of type bool"),
        ("[" * 100_000, "exceeded max depth"),
    ],
)
def test_a_bad_body_is_answered_in_go_s_words(bench: Any, body: str, description: str) -> None:
    answer = bench.ask(bench.client("SYS"), "$SYS.REQ.SERVER.PING.CONNZ", body)
    assert list(answer) == ["server", "error"]
    assert answer["error"] == {"code": 400, "description": description}


def test_a_document_that_cannot_be_had(bench: Any) -> None:
    answer = bench.ask(bench.client("SYS"), "$SYS.REQ.ACCOUNT.nope.INFO")
    assert answer["data"] is None
    assert answer["error"] == {"code": 500, "description": "Account nope does not exist"}


def test_ping_tells_how_the_server_is(bench: Any) -> None:
    system = bench.client("SYS")
    for subject in ("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.STATSZ", "$SYS.REQ.SERVER.NID.STATSZ"):
        answer = bench.ask(system, subject)
        assert list(answer) == ["server", "statsz"]
        assert answer["statsz"]["sent"] == {"msgs": 2, "bytes": 2}
        assert answer["statsz"]["active_accounts"] == 1
        assert "stale_connections" not in answer["statsz"]
        assert "slow_consumer_stats" not in answer["statsz"]
    assert list(bench.ask(system, "$SYS.REQ.SERVER.PING", "{")) == ["server", "error"]
    assert bench.ask(system, "$SYS.REQ.SERVER.PING.IDZ") == {"name": "leaf one", "host": "127.0.0.1", "id": "NID"}


def test_statsz_without_a_reply_goes_to_everybody(bench: Any) -> None:
    system = bench.client("SYS")
    bench.say(system, "SUB $SYS.SERVER.*.STATSZ 1\r\nPUB $SYS.REQ.SERVER.PING.STATSZ 0\r\n\r\n")
    assert [subject for subject, _ in bench.hear(system)] == ["$SYS.SERVER.NID.STATSZ"]


def test_an_account_asks_of_itself_alone(bench: Any) -> None:
    anna = bench.client("A")
    bench.client("B")
    for subject in ("$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"):
        assert bench.ask(anna, subject, '{"account":"B","limit":1}')["data"] == {
            "name": "CONNZ",
            "options": {"limit": 1, "account": "A"},
        }
    stats = bench.ask(anna, "$SYS.REQ.ACCOUNT.PING.STATZ", '{"accounts":["B"]}')["data"]["account_statz"]
    assert [(stat["acc"], stat["conns"]) for stat in stats] == [("A", 1)]
    for subject in ("$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.B.CONNZ", "$SYS.DEBUG.SUBSCRIBERS"):
        assert bench.ask(anna, subject) == "503"


def test_the_account_sees_its_own_requests(bench: Any) -> None:
    anna = bench.client("A")
    bench.say(anna, "SUB $SYS.> 1\r\nPUB $SYS.REQ.USER.INFO answer 0\r\n\r\n")
    assert bench.hear(anna) == [("$SYS.REQ.USER.INFO", b"")]


def test_statz_of_accounts(bench: Any) -> None:
    system = bench.client("SYS")
    bench.close(bench.client("B"))
    anna = bench.client("A")
    bench.say(anna, "SUB x 1\r\nPUB x 3\r\nabc\r\n")
    [stat] = bench.ask(system, "$SYS.REQ.ACCOUNT.A.STATZ")["data"]["account_statz"]
    nothing = {"msgs": 0, "bytes": 0}
    one = {"msgs": 1, "bytes": 3, "gateways": nothing, "routes": nothing, "leafs": nothing}
    assert stat == {
        "acc": "A", "name": "A", "conns": 1, "leafnodes": 0, "total_conns": 1, "num_subscriptions": 5,
        "sent": one, "received": one, "slow_consumers": 0,
    }  # fmt: skip
    for name in ("B", "nope"):
        assert bench.ask(system, f"$SYS.REQ.ACCOUNT.{name}.STATZ") is None
    for body, names in (("", ["SYS", "A"]), ('{"include_unused":true}', ["SYS", "$G", "B", "A"]), ('{"accounts":["A"]}', ["A"])):
        stats = bench.ask(system, "$SYS.REQ.ACCOUNT.PING.STATZ", body)["data"]["account_statz"]
        assert [stat["acc"] for stat in stats] == names


def test_what_went_through_an_account_outlives_its_clients(bench: Any) -> None:
    system = bench.client("SYS")
    anna, other = bench.client("A"), bench.client("A")
    bench.say(anna, "PUB x 3\r\nabc\r\n")
    bench.close(anna)
    bench.say(other, "PUB x 2\r\nab\r\n")
    [stat] = bench.ask(system, "$SYS.REQ.ACCOUNT.A.STATZ")["data"]["account_statz"]
    assert (stat["received"]["msgs"], stat["received"]["bytes"]) == (2, 5)


def test_conns_has_no_envelope_and_no_answer_where_nobody_is(bench: Any) -> None:
    system = bench.client("SYS")
    assert bench.ask(system, "$SYS.REQ.ACCOUNT.SYS.CONNS")["acc"] == "SYS"
    assert bench.ask(system, "$SYS.REQ.ACCOUNT.$G.CONNS") is None


def test_who_am_i(bench: Any) -> None:
    from edge.core.permissions import Permissions, ResponseRule, SubjectRule

    assert bench.ask(bench.client("A"), "$SYS.REQ.USER.INFO")["data"] == {
        "user": "A", "account": "A", "account_name": "A",
    }  # fmt: skip
    bench.auth.permissions = Permissions(
        SubjectRule(("$SYS.REQ.USER.INFO", "x.>"), ("x.no",)), SubjectRule(), ResponseRule(2, 5)
    )
    data = bench.ask(bench.client("A"), "$SYS.REQ.USER.INFO")["data"]
    assert data["permissions"] == {
        "publish": {"allow": ["$SYS.REQ.USER.INFO", "x.>"], "deny": ["x.no"]},
        "subscribe": {},
        "responses": {"max": 2, "ttl": 5},
    }
    bench.auth.permissions = None
    assert bench.ask(bench.client("SYS"), "$SYS.REQ.USER.INFO")["data"]["account"] == "SYS"


def test_subscribers_are_counted(bench: Any) -> None:
    system = bench.client("SYS")
    bench.say(system, "SUB a.b 1\r\nSUB a.* 2\r\nSUB a.b q 3\r\nSUB c 4\r\n")
    for body, count in (("a.b", 3), ("a.b q", 1), ("a.*", 3), (">", 5), ("none", 0)):  # ">": the answer's as well
        assert bench.ask(system, "$SYS.DEBUG.SUBSCRIBERS", body) == count, body


def test_the_buttons(bench: Any) -> None:
    system = bench.client("SYS")
    kick = "$SYS.REQ.SERVER.NID.KICK"
    assert list(bench.ask(system, kick, '{"cid":1}')) == ["server"]
    assert bench.ask(system, kick, '{"cid":9}')["error"] == {"code": 500, "description": "no such client or leafnode id"}
    for body in ("", "{bad", '{"cid":"x"}'):
        assert bench.ask(system, kick, body) is None
    assert bench.control.kicked == [1, 9]
    ldm = "$SYS.REQ.SERVER.NID.LDM"
    assert list(bench.ask(system, ldm, '{"cid":1}')) == ["server"]
    assert bench.ask(system, ldm, '{"cid":9}')["error"] == {"code": 500, "description": "no such client id"}
    assert list(bench.ask(system, "$SYS.REQ.SERVER.NID.RELOAD")) == ["server"]
    bench.control.wrong = "unknown field"
    assert bench.ask(system, "$SYS.REQ.SERVER.NID.RELOAD")["error"] == {
        "code": 500, "description": "x.conf:1:1: unknown field",
    }  # fmt: skip
    assert bench.control.reloads == 1


def test_an_answer_may_be_compressed(bench: Any) -> None:
    system = bench.client("SYS")
    headers = b"NATS/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
    bench.say(system, "SUB answer a\r\n")
    subject = "$SYS.REQ.SERVER.PING.VARZ"
    bench.say(system, f"HPUB {subject} answer {len(headers)} {len(headers)}\r\n{headers.decode()}\r\n")
    assert b"Content-Encoding: gzip" in bytes(bench.sent[system])
    [(_, payload)] = bench.hear(system)
    assert list(json.loads(gzip.decompress(payload))) == ["server", "data"]


def test_a_later_account_may_ask_too(bench: Any) -> None:
    assert bench.ask(bench.client("NEW"), "$SYS.REQ.USER.INFO")["data"]["account"] == "NEW"
