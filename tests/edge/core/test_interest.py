from edge.core.interest import InterestMap
from edge.protocol.leaf import Interest


def test_plain_interest_is_said_once_and_taken_back_with_the_last() -> None:
    wanted = InterestMap()
    assert wanted.add("a", "") == Interest("a", "", 1)
    assert wanted.add("a", "") is None
    assert wanted.remove("a", "") is None
    assert wanted.remove("a", "") == Interest("a", "", 0)
    assert wanted.all() == []


def test_queue_interest_is_said_anew_with_each_member() -> None:
    wanted = InterestMap()
    assert wanted.add("a", "g") == Interest("a", "g", 1)
    assert wanted.add("a", "g") == Interest("a", "g", 2)
    assert wanted.add("a", "h") == Interest("a", "h", 1)
    assert wanted.remove("a", "g") == Interest("a", "g", 1)
    assert wanted.remove("a", "g") == Interest("a", "g", 0)
    assert wanted.all() == [Interest("a", "h", 1)]


def test_a_new_connection_hears_everything() -> None:
    wanted = InterestMap()
    for subject, queue in [("a", ""), ("a", ""), ("a", "g"), ("a", "g"), ("b.>", "")]:
        wanted.add(subject, queue)
    assert wanted.all() == [Interest("a", "", 1), Interest("a", "g", 2), Interest("b.>", "", 1)]
