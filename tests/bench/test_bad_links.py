import base64
import json
from typing import Any

from bench.bad_backlog import _percentile, _row
from bench.bad_links import CASES, HEAD, Result
from bench.bad_sites import Books, read_stream, stored_after
from bench.wire_client import WireClient


def test_every_case_has_a_name_of_its_own_and_a_line_in_the_table() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        result = Result(case)
        result.ratios = [(1.0, 0.5), (0.9, 0.6), (0.5, 0.7)]
        line = result.line()
        assert line.count("|") == HEAD.splitlines()[0].count("|") and "| 0.90 | 0.60 |" in line


def test_a_case_is_right_with_the_dead_letters_that_it_should_have() -> None:
    never = Result(next(case for case in CASES if case.dead))
    never.books = Books(produced=10, stored=10 - never.case.dead, missing=0, duplicate=0, dead=never.case.dead)
    assert never.is_right()
    good = Result(CASES[0])
    good.books = never.books
    assert not good.is_right()


def test_books_balance_when_each_is_there_once() -> None:
    assert Books(produced=3, stored=2, missing=0, duplicate=0, dead=1).balance()
    assert not Books(produced=3, stored=2, missing=1, duplicate=0, dead=0).balance()
    assert not Books(produced=3, stored=4, missing=0, duplicate=1, dead=0).balance()


def test_what_a_message_took_is_between_two_clocks_that_are_one() -> None:
    body = base64.b64encode(json.dumps({"t": 1_500_000_000}).encode()).decode()
    assert round(stored_after({"time": "1970-01-01T00:00:02.75Z", "data": body}), 6) == 1.25
    assert round(stored_after({"time": "1970-01-01T00:00:02Z", "data": body}), 6) == 0.5


def test_one_that_has_not_arrived_or_came_late_is_a_miss() -> None:
    assert "met" in _row("alarms", 2, [0.1, 0.9], 1.0) and "missed" not in _row("alarms", 2, [0.1, 0.9], 1.0)
    assert "missed" in _row("alarms", 3, [0.1, 0.9], 1.0)
    assert "missed" in _row("alarms", 2, [0.1, 1.1], 1.0)
    assert "missed" in _row("alarms", 2, [], 1.0)
    assert _percentile([3.0, 1.0, 2.0], 50) == 2.0 and _percentile([1.0, 2.0], 99) == 2.0


def test_a_stream_is_read_whole(start_nats: Any, tmp_path: Any) -> None:
    server = start_nats(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path}" }}')
    client = WireClient(server.port)
    assert client.ask("nobody") == {}
    assert "error" not in client.ask("$JS.API.STREAM.CREATE.S", {"name": "S", "subjects": ["s"]})
    for number in range(20):
        assert client.ask("s", number + 1)["seq"] == number + 1
    assert list(read_stream(client, "S")) == [b"%d" % (number + 1) for number in range(20)]
    client.close()
