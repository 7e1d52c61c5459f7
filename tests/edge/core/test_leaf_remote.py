"""What a remote says of itself, how it comes to be compressed, and what its links tell each other."""

import json

import pytest

from edge.core.compression_spec import Compression
from edge.core.leaf_login import LeafLogin
from edge.core.leaf_remote import Encrypted, RemoteLink, RemoteTerms
from edge.core.leaf_rules import LinkRules
from edge.core.leaf_wire import State
from edge.core.router import Router
from tests.edge.core.test_leaf_link import IDENTITY, SECOND, Hub


class Hub2(Hub):
    """The hub of one link among several of an account."""

    def __init__(self, terms: RemoteTerms, router: Router | None = None) -> None:
        self.router = router or Router()
        self.account = self.router.account("$G")
        self.account.loop_subject = "$LDS.OWN"
        self.link = RemoteLink(self.router, self.account, IDENTITY, LinkRules(), terms)
        self.heard = []
        self.now = 100 * SECOND

    def said(self) -> dict[str, object]:
        """The fields of the next CONNECT or INFO, and what it was."""
        verb, _, rest = self.take().partition(b" ")
        line, _, self.rest = rest.partition(b"\r\n")
        return {"verb": verb.decode(), **json.loads(line)}


def hub(mode: str = "off", **terms: bool) -> Hub2:
    return Hub2(RemoteTerms(compression=Compression(mode), **terms))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ours", "theirs", "asked"),
    [("s2_fast", "s2_auto", "s2_fast"), ("s2_auto", "accept", "s2_auto"), ("accept", "s2_best", "s2_best")],
)
def test_the_leaf_begins_to_compress(ours: str, theirs: str, asked: str) -> None:
    it = hub(ours)
    it.open()
    it.info(compression=theirs, nonce="first")
    said = it.said()
    assert (said["verb"], said["compression"], it.rest) == ("INFO", asked, b"")
    assert it.wire.compressing and it.link.state is State.AWAITS_COMPRESSION
    it.info(compression="s2_fast", nonce="second")
    said = it.said()
    assert said["verb"] == "CONNECT" and str(said["compress_mode"]).startswith("s2_")
    it.info(connect_info=True, remote_account="A", compression="s2_fast")
    it.send(b"PONG\r\n")
    assert it.link.up and it.link.compression == said["compress_mode"]


@pytest.mark.parametrize(
    ("ours", "theirs", "mode"),
    [
        ("s2_fast", None, "not supported"), ("s2_fast", "off", "off"), ("off", "s2_auto", "off"), ("off", None, "not supported"),
        ("not supported", "s2_auto", "not supported"), ("accept", "accept", "off"),
    ],
)  # fmt: skip
def test_it_stays_in_clear(ours: str, theirs: str | None, mode: str) -> None:
    it = hub(ours)
    it.open()
    it.info(**({"compression": theirs} if theirs else {}))
    said = it.said()
    assert (said["verb"], said["compress_mode"]) == ("CONNECT", mode) and not it.wire.compressing


def test_by_websocket_it_does_too() -> None:
    it = hub("s2_fast")
    it.open()
    it.link.opened(it.wire, "h:80", LeafLogin(), it.now, Encrypted.PLAIN, is_web=True)
    it.info(compression="s2_auto")
    assert it.said()["compress_mode"] == "off" and not it.wire.compressing


def test_a_mode_that_nobody_knows() -> None:
    it = hub("s2_fast")
    it.open()
    it.info(compression="zstd")
    assert it.wire.closed and "unsupported compression mode 'zstd'" in it.link.last_error


def test_a_hub_that_does_not_answer_in_the_stream() -> None:
    it = hub("s2_fast")
    it.open()
    it.info(compression="s2_auto")
    it.pass_time(SECOND)
    assert it.wire.closed and "compression" in it.link.last_error


def test_what_the_entry_asks_for() -> None:
    it = hub(hub=True, request_isolation=True)
    it.open()
    it.info()
    said = it.said()
    assert said["is_hub"] is said["isolate"] is True
    assert it.link.is_hub


def test_a_namesake_is_hinted_at() -> None:
    it = hub()
    it.connect()
    it.send(b"-ERR 'Duplicate Remote LeafNode Connection'\r\n")
    assert "has another server the name edge1?" in it.link.last_error


def test_permissions_come_with_any_info() -> None:
    it = hub()
    it.connect(export={"allow": ["a"]})
    it.send(b"LS+ >\r\n")
    it.info(leafnode_urls=["h:1"])  # the cluster has changed, and nothing else
    assert it.publish("a") == 1 and it.publish("b") == 0
    it.info(export={"allow": ["b"]})
    assert it.publish("a") == 0 and it.publish("b") == 1


class Sites:
    """Links of one account, to hubs of different clusters."""

    def __init__(self, *terms: RemoteTerms, clusters: tuple[str, ...] = ()) -> None:
        self.hubs: list[Hub2] = []
        router = Router()
        for i, each in enumerate(terms):
            it = Hub2(each, router)
            it.connect(server_name=f"h{i}", cluster=clusters[i] if clusters else f"c{i}")
            self.hubs.append(it)

    def tells(self, which: int, line: bytes) -> list[bytes]:
        """What each of the others hears when one of the hubs says this."""
        self.hubs[which].send(line)
        return [it.take() for it in self.hubs]


LEAF, HUB, ALONE = RemoteTerms(), RemoteTerms(hub=True), RemoteTerms(hub=True, isolate=True)


def test_interest_of_a_hub_goes_to_leafs_alone() -> None:
    """The first and the second are hubs of ours; of the others we are, and the last wants to hear of no leaf."""
    sites = Sites(LEAF, LEAF, HUB, HUB, ALONE)
    assert sites.tells(0, b"LS+ a\r\n") == [b"", b"", b"LS+ a\r\n", b"LS+ a\r\n", b""]
    assert sites.tells(2, b"LS+ b\r\n") == [b"LS+ b\r\n", b"LS+ b\r\n", b"", b"LS+ b\r\n", b""]
    assert sites.tells(2, b"LS- b\r\n") == [b"LS- b\r\n", b"LS- b\r\n", b"", b"LS- b\r\n", b""]
    sites.hubs[0].link.closed("cut")
    sites.hubs[0].router.flush()
    assert [it.take() for it in sites.hubs[1:]] == [b"", b"LS- a\r\n", b"LS- a\r\n", b""]


def test_within_a_cluster_they_tell_each_other() -> None:
    sites = Sites(HUB, HUB, HUB, clusters=("x", "x", "y"))
    assert sites.tells(0, b"LS+ a\r\n") == [b"", b"", b"LS+ a\r\n"]


def test_what_shows_loops_goes_to_hubs_too() -> None:
    sites = Sites(LEAF, LEAF, HUB)
    assert sites.tells(0, b"LS+ $LDS.far\r\n") == [b"", b"LS+ $LDS.far\r\n", b"LS+ $LDS.far\r\n"]


def test_members_of_a_queue_add_up() -> None:
    sites = Sites(HUB, HUB, LEAF)
    assert sites.tells(0, b"LS+ q g 3\r\n") == [b"", b"LS+ q g 3\r\n", b"LS+ q g 3\r\n"]
    assert sites.tells(1, b"LS+ q g 2\r\n") == [b"LS+ q g 2\r\n", b"", b"LS+ q g 5\r\n"]
    assert sites.tells(0, b"LS+ q g 1\r\n") == [b"", b"LS+ q g 1\r\n", b"LS+ q g 3\r\n"]
    sites.hubs[0].client("q", "g")
    assert [it.take() for it in sites.hubs] == [b"LS+ q g 3\r\n", b"LS+ q g 2\r\n", b"LS+ q g 4\r\n"]
    assert sites.tells(1, b"LS- q g\r\n") == [b"LS+ q g 1\r\n", b"", b"LS+ q g 2\r\n"]
    late = Hub2(HUB, sites.hubs[0].router)
    late.open()
    late.info()
    late.take()
    late.info(connect_info=True, remote_account="A", cluster="late")
    assert b"LS+ q g 2\r\n" in late.take()


def test_patience_stretches_every_wait() -> None:
    it = hub("s2_fast")
    it.open()
    it.link.opened(it.wire, "h:1", LeafLogin(), it.now, patience=4)
    assert it.link.deadline() == it.now + 4 * SECOND
    it.info(compression="s2_auto")
    assert it.link.deadline() == it.now + 4 * SECOND
    it.info(compression="s2_fast")
    assert it.link.deadline() == it.now + 8 * SECOND
    it.pass_time(7 * SECOND)
    assert not it.wire.closed and not it.link.is_late
    it.pass_time(SECOND)
    assert it.wire.closed and it.link.is_late
