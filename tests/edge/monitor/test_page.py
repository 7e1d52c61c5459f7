"""The page: what it says, that nothing of what others chose becomes markup, and that it needs nothing from elsewhere."""

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.times import SECOND
from edge.monitor.figures import Figures
from edge.monitor.page import HEADERS, MAX_ROWS, POLICY, View, render
from edge.monitor.sensors import Seen
from edge.monitor.words import count, duration, size
from tests.edge.monitor import figures

VOID = {"meta"}
PARENTS = {"section": "main", "li": "ul", "script": "body", "style": "head", "title": "head", "a": "nav"}


class Reader(HTMLParser):
    """Elements in their order with their texts; an element that is not closed is an error."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.sources: dict[str, str] = {}
        self.feed(page.decode())
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert PARENTS.get(tag) in (None, self.open[-1] if self.open else None), tag
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.sources[self.open[-1]] = self.sources.get(self.open[-1], "") + data
        elif data.strip():
            self.texts.append(data)


def page(shown: Figures, health: str = "", sensors: Any = (), clients: Any = (), links: Any = None) -> Reader:
    return Reader(render(View(shown, health, list(sensors), list(clients), links or {})))


def seen(subject: str, seconds: int, account: str = "$G") -> Seen:
    return Seen(account, subject, "S", figures.NOW - seconds * SECOND)


def test_a_server_with_nothing() -> None:
    texts = page(figures.bare()).texts
    assert {"barn", "All is well", "no hub is configured", "nobody"} <= set(texts)
    assert not {"Uplinks", "Streams", "Sensors", "Disk and wear"} & set(texts)


def test_a_server_with_everything() -> None:
    sensors = [seen("telemetry.barn.pump1", 3), seen("telemetry.barn.door", 7300, "A")]
    shown = page(figures.full(), "the disk is full", sensors, [figures.client("scale")], {"varz": "General"})
    texts = " | ".join(shown.texts)
    for part in (
        "the disk is full",
        "1 of 2 links are down | Uplink TELEMETRY is blocked | Uplink TELEMETRY: 1 dead letters",
        "hub1 | connected | hub.example:7422, 12.3 ms, account $G",
        "TELEMETRY:7422 | down | TELEMETRY:7422: TELEMETRY",
        "TELEMETRY | blocked, 12.3K waiting | 5.0 MB, the oldest for 1 h 1 min, TELEMETRY, 1 dead letters",
        "TELEMETRY | 1.0K messages | 1.0 MB, last 5 s ago",
        "EMPTY | 0 messages | 0 B, empty so far, account TELEMETRY",
        "telemetry.barn.door | 2 h 1 min ago | account A | telemetry.barn.pump1 | 3 s ago",
        "scale | heard 2 s ago | MQTT from 127.0.0.1, 1.2M in, 0 out",
        "mmcblk0 TELEMETRY | up to 30 % worn | 5.0 GB written since the machine started",
        "Written since the start | 1.0 GB | 17 commits",
        "General",
    ):
        assert part in texts, part
    assert ("a", "href", "varz") in shown.attributes


@pytest.mark.parametrize(
    ("changes", "words", "mood"),
    [
        ({"used": 8}, "up to 80 % worn", "warn"),
        ({"used": 11}, "past its life", "bad"),
        ({"used": 2, "spare": 3}, "up to 20 % worn", "warn"),
        ({"used": 2}, "up to 20 % worn", "good"),
        ({"used": 0}, "wear unknown", ""),
    ],
)
def test_wear(changes: dict[str, int], words: str, mood: str) -> None:
    shown = figures.full()
    assert shown.store is not None and shown.store.wear is not None
    store = shown.store._replace(wear=shown.store.wear._replace(**changes))
    assert f'<span class="how {mood}">{words}</span>' in render(View(shown._replace(store=store), "", [], [], {})).decode()


def test_a_long_list_ends() -> None:
    clients = [figures.client(f"c{i}") for i in range(MAX_ROWS + 7)]
    shown = page(figures.bare(), clients=clients)
    assert "and 7 more" in shown.texts
    assert shown.tags.count("li") < MAX_ROWS + 10


def everything(name: str) -> Reader:
    return page(figures.full(name), name, [seen(name, 1, name)], [figures.client(name)], {name: name})


PLAIN = everything("x")


@given(st.one_of(st.text(min_size=1), st.just(figures.NASTY)))
def test_whatever_others_chose_stays_text(name: str) -> None:
    shown = everything(name)
    assert shown.tags == PLAIN.tags
    assert [found[:2] for found in shown.attributes] == [found[:2] for found in PLAIN.attributes]
    assert shown.sources == PLAIN.sources


def test_it_loads_nothing_and_runs_only_its_own() -> None:
    policy = dict(HEADERS)["Content-Security-Policy"]
    assert policy == POLICY and "unsafe" not in policy and "http" not in policy
    for element in ("style", "script"):
        digest = b64encode(hashlib.sha256(PLAIN.sources[element].encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert not [found for found in PLAIN.attributes if found[1] in ("src", "style") or found[1].startswith("on")]
    assert not re.search(rb"https?:|//\w|@import|url\(", render(View(figures.full(), "", [], [], {})))


def test_words() -> None:
    assert [size(number) for number in (0, 5, 1023, 1024, 1 << 31)] == ["0 B", "5 B", "1023 B", "1.0 KB", "2.0 GB"]
    assert [count(number) for number in (0, 999, 1000, 12_345_678)] == ["0", "999", "1.0K", "12.3M"]
    assert [duration(number) for number in (-1, 0.4, 59, 60, 3700, 90_000, 400 * 86400)] == [
        "0 s", "0 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h", "400 d"
    ]  # fmt: skip
