"""Under which subject a message goes on."""

from collections import Counter
from typing import Any

from edge.core.account_spec import Destination, Mapping
from edge.core.mappings import make_mappings


def mapped(*mappings: Mapping) -> Any:
    found = make_mappings(mappings)
    assert found is not None
    return found


def test_nothing_to_map() -> None:
    assert make_mappings(()) is None


def test_the_first_that_matches_decides_and_nothing_is_mapped_twice() -> None:
    mappings = mapped(
        Mapping("a.*", (Destination("b.$1"),)), Mapping("a.x", (Destination("c"),)), Mapping("b.x", (Destination("d"),))
    )
    assert [mappings.map(subject) for subject in ("a.x", "a.y", "b.x", "e")] == ["b.x", "b.y", "d", "e"]
    assert mappings.fixed("a.x") and mappings.fixed("e")


def test_weights_leave_the_rest_its_subject() -> None:
    mappings = mapped(Mapping("a.*", (Destination("b.$1", 20), Destination("c.$1", 30))))
    assert not mappings.fixed("a.x")
    found = Counter(mappings.map("a.x") for _ in range(2000))
    assert set(found) == {"a.x", "b.x", "c.x"} and found["a.x"] > found["c.x"] > found["b.x"] > 100


def test_naming_the_source_means_loss() -> None:
    found = Counter(mapped(Mapping("a", (Destination("a", 50),))).map("a") for _ in range(500))
    assert set(found) == {"a", ""} and min(found.values()) > 100


def test_destinations_of_other_clusters_are_not_ours() -> None:
    mappings = mapped(Mapping("a", (Destination("b", 100, "east"),)))
    assert mappings.map("a") == "a"


def test_random_is_drawn_each_time() -> None:
    mappings = mapped(Mapping("a", (Destination("b.{{random(5)}}"),)))
    assert not mappings.fixed("a") and len({mappings.map("a") for _ in range(200)}) == 5


def test_many_subjects_do_not_gather() -> None:
    mappings = mapped(Mapping("a.*", (Destination("b.$1"),)))
    for i in range(20_000):
        mappings.map(f"a.{i}")
    assert len(mappings.known) <= 8192
