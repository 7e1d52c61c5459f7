from typing import Any

import pytest

from edge.message import header_get, header_items
from edge.store.contract import Row
from edge.uplink.progress import Progress
from edge.uplink.sender import Draft, Place, Sender
from edge.uplink.window import Window

NOON = 1_795_000_000_000_000_000


class Link:
    up = True
    domain = ""
    rtt = pending_bytes = 0

    def __init__(self) -> None:
        self.went: list[tuple[str, str, bytes, bytes]] = []
        self.asked = 0

    def refusal(self, subject: str, size: int) -> str:
        self.asked += 1
        return "no" if subject == "secret" else ""

    def publish(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> bool:
        return False

    def publish_all(self, messages: Any) -> int:
        self.went += messages
        return 100 * len(messages) if self.up else 0


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def sender(link: Link, make_options: Any) -> Sender:
    progress = Progress("e1", ((1, "OLD"), (4, "NEW")), 1)
    return Sender(make_options(), progress, Window(0, (), 0), link, "_INBOX.me")


def rows(*subjects: str, first: int = 1) -> list[Row]:
    return [Row(seq, subject, NOON + seq, b"", b"%d" % seq) for seq, subject in enumerate(subjects, first)]


def send(sender: Sender, found: list[Row], as_batch: bool = False) -> int:
    draft = Draft(10_000)
    assert sender.fill(draft, found) == (len(found), "")
    return sender.send(draft.keys, draft.messages, 0, as_batch)


def test_each_by_itself(sender: Sender, link: Link) -> None:
    assert send(sender, rows("a", "b")) == 200
    assert [(subject, reply) for subject, reply, _, _ in link.went] == [("a", "_INBOX.me.1"), ("b", "_INBOX.me.2")]
    assert [sender.place("1"), sender.place("2")] == [Place(1, 0), Place(2, 0)]
    assert [list(burst.keys) for burst in sender.window.bursts.values()] == [[1], [2]]


def test_a_batch_begins_goes_on_and_ends(sender: Sender, link: Link) -> None:
    assert send(sender, rows("a", "b", "c"), as_batch=True) == 300
    assert [reply for _, reply, _, _ in link.went] == [
        "_INBOX.me.me1.500.fail.1.0.$FI", "_INBOX.me.me1.500.fail.2.1.$FI", "_INBOX.me.me1.500.fail.3.2.$FI"
    ]  # fmt: skip
    assert sender.place("me1.500.fail.3.2.$FI") == Place(1, 2)
    assert sender.window.bursts[1].keys == [1, 2, 3]
    send(sender, rows("d", "e", first=4), as_batch=True)
    assert [reply for _, reply, _, _ in link.went[3:]] == ["_INBOX.me.2", "_INBOX.me.3"], "a batch has two answers"


def test_what_a_message_says_of_itself(sender: Sender, link: Link) -> None:
    """However it is written: most of them are written in one go."""
    odd = Row(5, "a", 7, b"", b"x")
    found = [*rows("a", first=3), Row(4, "a", NOON, b"NATS/1.0\r\nUnit: C\r\n\r\n", b""), odd, *rows("a", first=6)]
    send(sender, found)
    blocks = [headers for _, _, headers, _ in link.went]
    assert [header_get(block, "Nats-Msg-Id") for block in blocks] == ["e1:OLD:3", "e1:NEW:4", "e1:NEW:5", "e1:NEW:6"]
    assert header_items(blocks[3])[1:] == [("Petiole-Time", "2026-11-18T11:06:40.000000Z")]
    assert header_get(blocks[1], "Unit") == "C" and header_get(blocks[2], "Petiole-Time-Quality") == "unset"


def test_what_will_never_be_taken_is_left_to_the_caller(sender: Sender, link: Link) -> None:
    draft = Draft(10_000)
    found = rows("a", "secret", "a")
    assert sender.fill(draft, found) == (1, "no")
    assert sender.fill(draft, found[2:]) == (1, "")
    assert draft.keys == [1, 3] and link.asked == 2, "a subject that may go is asked for once"
    sender.max_msg_size = 50
    assert sender.fill(Draft(10_000), found)[1].endswith("more than the max_msg_size of 50 of the hub's stream")


def test_no_more_than_there_is_room_for_and_one_at_least(sender: Sender) -> None:
    draft = Draft(1)
    assert sender.fill(draft, rows("a", "b", "c")) == (1, "") and draft.keys == [1]


def test_a_link_that_takes_nothing_leaves_nothing_in_flight(sender: Sender, link: Link) -> None:
    link.up = False
    assert send(sender, rows("a")) == 0
    assert send(sender, rows("a", "b", "c"), as_batch=True) == 0
    assert not sender.window.bursts and not len(sender.window)


@pytest.mark.parametrize("tokens", ["", "x", "me", "mex.1.fail.1.0.$FI", "me1.1.fail.0.0.$FI", "1.2", "me1", "9" * 40])
def test_what_is_no_place(sender: Sender, tokens: str) -> None:
    assert sender.place(tokens) is None
