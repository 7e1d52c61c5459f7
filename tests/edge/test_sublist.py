from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.subjects import matches
from edge.sublist import Sublist


@dataclass(eq=False)
class Wish:
    subject: str
    queue: str = ""


TOKEN = st.sampled_from(["a", "b", "*", "*b"])
PATTERN = st.tuples(st.lists(TOKEN, min_size=1, max_size=4), st.sampled_from(["", ".>"])).map(
    lambda parts: ".".join(parts[0]) + parts[1]
)
LITERAL = st.lists(st.sampled_from(["a", "b", "c", "*b"]), min_size=1, max_size=4).map(".".join)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(PATTERN, st.sampled_from(["", "q", "r"])), max_size=12), st.lists(LITERAL, max_size=6), st.data()
)
def test_matches_as_one_by_one_comparison(
    wishes: list[tuple[str, str]], subjects: list[str], data: st.DataObject
) -> None:
    sublist: Sublist[Wish] = Sublist()
    held = [Wish(subject, queue) for subject, queue in wishes]
    for wish in held:
        sublist.insert(wish)
    while True:
        for subject in subjects:
            expected = {id(wish) for wish in held if matches(wish.subject, subject)}
            for found in (sublist.match(subject), sublist.match_once(subject), sublist.match(subject)):
                members = [*found.plain, *(member for group in found.queues for member in group)]
                assert {id(wish) for wish in members} == expected and len(members) == len(expected)
                assert all(len({member.queue for member in group}) == 1 for group in found.queues)
        assert len(sublist) == len(held) == len(list(sublist))
        if not held:
            break
        assert sublist.remove(held.pop(data.draw(st.integers(0, len(held) - 1))))
    assert sublist.root.is_empty()


def test_removing_what_is_not_there_changes_nothing() -> None:
    sublist: Sublist[Wish] = Sublist()
    sublist.insert(Wish("a.b"))
    generation = sublist.generation
    assert not sublist.remove(Wish("a.b")) and not sublist.remove(Wish("x.y")) and sublist.generation == generation


def test_what_was_ever_inserted_is_counted() -> None:
    sublist: Sublist[Wish] = Sublist()
    wishes = [Wish("a.b"), Wish("a.*", "q"), Wish("c")]
    for wish in wishes:
        sublist.insert(wish)
    assert sublist.remove(wishes[0]) and not sublist.remove(wishes[0])
    assert (len(sublist), sublist.inserts) == (2, 3)


def test_a_family_is_forgotten_when_a_literal_comes() -> None:
    sublist: Sublist[Wish] = Sublist()
    wide, literal = Wish("inbox.x.*"), Wish("inbox.x.7")
    sublist.insert(wide)
    assert sublist.match_once("inbox.x.7").plain == (wide,)
    sublist.insert(literal)
    assert set(map(id, sublist.match_once("inbox.x.7").plain)) == {id(wide), id(literal)}
    assert sublist.match_once("inbox.x.8").plain == (wide,)


def test_publish_to_a_wildcard_meets_it_once() -> None:
    sublist: Sublist[Wish] = Sublist()
    star, rest = Wish("a.*"), Wish("a.>")
    sublist.insert(star)
    sublist.insert(rest)
    assert sorted(map(id, sublist.match("a.*").plain)) == sorted([id(star), id(rest)])
    assert sorted(map(id, sublist.match("a.>").plain)) == sorted([id(star), id(rest)])


def test_whose_alone_a_family_is() -> None:
    sublist: Sublist[Wish] = Sublist()
    mine = Wish("a.b.*.*")
    assert sublist.sole("a.b") is None
    sublist.insert(mine)
    sublist.insert(Wish("a.b"))  # is not below it
    sublist.insert(Wish("a.c.>"))
    assert sublist.sole("a.b") is mine
    for other in (Wish("a.b.c.d"), Wish("a.>"), Wish("*.b.x"), Wish("a.b.*.*"), Wish("a.*.*.d.e", "q"), Wish(">", "q")):
        sublist.insert(other)
        assert sublist.sole("a.b") is None
        sublist.remove(other)
        assert sublist.sole("a.b") is mine
