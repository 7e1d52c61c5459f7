from typing import Any

import pytest

from edge.monitor.requests import DocumentError
from edge.monitor.subsz import subsz


def test_counts(bench: Any) -> None:
    client = bench.client("A")
    bench.say(client, "SUB a.* 1\r\nSUB a.b q 2\r\nSUB c 3\r\nUNSUB 3\r\n")
    assert bench.router.account("A").publish("a.b", b"x").receivers == 2
    fields = subsz(bench.state, {"account": "A"})
    own = fields["num_subscriptions"] - 2  # the server's
    assert (fields["num_inserts"], fields["num_removes"]) == (own + 3, 1)
    assert (fields["max_fanout"], fields["total"]) == (2, 0)
    assert fields["avg_fanout"] > 0
    assert "subscriptions_list" not in fields


def test_who_would_hear(bench: Any) -> None:
    client = bench.client("A")
    bench.say(client, "SUB a.* 1\r\nSUB a.b q 2\r\nUNSUB 2 7\r\nPUB a.b 1\r\nx\r\n")
    found = subsz(bench.state, {"subscriptions": True, "test": "a.b"})["subscriptions_list"]
    own = {"account": "A", "account_tag": "A", "cid": client.cid, "msgs": 1}
    assert sorted(found, key=lambda item: str(item["sid"])) == [
        {**own, "subject": "a.*", "sid": "1"},
        {**own, "subject": "a.b", "qgroup": "q", "sid": "2", "max": 7},
    ]
    assert "subscriptions_list" not in subsz(bench.state, {"subscriptions": True, "test": "none"})


def test_pages(bench: Any) -> None:
    client = bench.client("A")
    bench.say(client, "".join(f"SUB a.* {i}\r\n" for i in range(5)))
    options = {"subscriptions": True, "test": "a.b", "offset": 1, "limit": 3}
    page = subsz(bench.state, options)
    assert (page["total"], page["offset"], page["limit"]) == (5, 1, 3)
    assert [item["sid"] for item in page["subscriptions_list"]] == ["1", "2", "3"]


@pytest.mark.parametrize("test", ["a.*", ">", "a..b", "a.", "*"])
def test_nobody_can_publish_there(bench: Any, test: str) -> None:
    with pytest.raises(DocumentError, match="must be valid publish subject"):
        subsz(bench.state, {"test": test})
