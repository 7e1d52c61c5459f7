"""Whose turn it is."""

import random

from edge.config.options import LeafUrl
from edge.net.leaf_urls import LeafUrls


def urls(*configured: LeafUrl, randomize: bool = False) -> LeafUrls:
    return LeafUrls(configured, random.Random(1), randomize)


def turns(them: LeafUrls, count: int) -> list[str]:
    return [str(them.next()) for _ in range(count)]


def test_each_has_its_turn() -> None:
    them = urls(LeafUrl("a", 1), LeafUrl("b", 2), LeafUrl("::1", 3))
    assert turns(them, 5) == ["a:1", "b:2", "[::1]:3", "a:1", "b:2"]


def test_in_any_order() -> None:
    many = [LeafUrl("h", port) for port in range(1, 20)]
    them = urls(*many, randomize=True)
    assert turns(them, 19) != [f"h:{port}" for port in range(1, 20)]
    assert len(set(turns(them, 19))) == 19


def test_what_a_hub_tells_comes_first_and_goes_when_it_tells_of_others() -> None:
    them = urls(LeafUrl("a", 1))
    assert turns(them, 2) == ["a:1", "a:1"]
    them.learn(("10.0.0.2:7", "a:1", "[fd00::1]:8", "nonsense", "x:0", ":5", "y:99999"))
    assert turns(them, 4) == ["10.0.0.2:7", "[fd00::1]:8", "a:1", "10.0.0.2:7"]
    them.learn(("10.0.0.3:7",))
    assert turns(them, 3) == ["10.0.0.3:7", "a:1", "10.0.0.3:7"]
    them.learn(())
    assert turns(them, 2) == ["a:1", "a:1"]


def test_who_is_told_of_is_dialled_as_the_first_with_a_user() -> None:
    them = urls(LeafUrl("10.0.0.1", 1), LeafUrl("hub.example", 2, "u", "p", True, True, "/x"))
    them.learn(("10.0.0.2:7", "other.example:8"))
    first, second = them.next(), them.next()
    assert (first.user, first.password, first.encrypted, first.websocket, first.path) == ("u", "p", True, True, "/x")
    assert (first.name, second.name) == ("hub.example", "other.example")


def test_a_certificate_for_another_name_is_tried_by_its_address() -> None:
    them = urls(LeafUrl("hub.example", 2, encrypted=True))
    them.learn(("10.0.0.2:7",))
    assert them.next().name == "hub.example"
    them.distrust_name()
    assert [place.name for place in (them.next(), them.next())] == ["10.0.0.2", "hub.example"]
    them.learn(("10.0.0.3:7",))
    assert them.next().name == "10.0.0.3"
