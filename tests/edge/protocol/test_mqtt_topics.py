import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ProtocolError
from edge.protocol.mqtt_topics import filter_to_subjects, subject_to_topic, topic_to_subject
from edge.subjects import is_literal, matches

# As nats-server 2.15.1 maps them; tests/e2e/test_mqtt.py asks it again.
TOPICS = [
    ("a", "a"),
    ("a/b", "a.b"),
    ("/a", "/.a"),
    ("a/", "a./"),
    ("a//b", "a./.b"),
    ("a.b", "a//b"),
    ("a/b.c/d", "a.b//c.d"),
    ("/", "/./"),
    ("//", "/././"),
    (".", "//"),
    ("..", "////"),
    ("/.", "/.//"),
    ("./", "//./"),
    ("a/./b", "a.//.b"),
    ("a/../b", "a.////.b"),
    ("$SYS/x", "$SYS.x"),
    ("a/é/\u200b", "a.é.\u200b"),
    ("a\x01b", "a\x01b"),
    ("*a/b>c", "*a.b>c"),
]


@pytest.mark.parametrize("topic, subject", TOPICS)
def test_topics_and_back(topic: str, subject: str) -> None:
    assert topic_to_subject(topic) == subject
    assert subject_to_topic(subject) == topic


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a#", " ", "a b", "a\tb", "a\rb", "a\nb", "a\x7fb"])
def test_what_is_no_topic(topic: str) -> None:
    with pytest.raises(ProtocolError):
        topic_to_subject(topic)


@pytest.mark.parametrize(
    "subject, topic",
    [("a/b", "ab"), ("a/", "a"), ("a./b", "a/b"), ("/b.c", "b/c"), ("//.a", "./a"), ("a.///b", "a/.b")],
)
def test_subjects_that_no_topic_has(subject: str, topic: str) -> None:
    assert subject_to_topic(subject) == topic


@pytest.mark.parametrize("subject", ["a+b", "a.#", "x.+.y", "a\0b", "/", "a\udcff", "a." * 20_000 + "a"])
def test_subjects_without_a_topic(subject: str) -> None:
    assert subject_to_topic(subject) == ""


@pytest.mark.parametrize(
    "topic_filter, subjects",
    [
        ("a/b", ("a.b",)),
        ("+", ("*",)),
        ("#", (">",)),
        ("a/#", ("a", "a.>")),
        ("a/+/c", ("a.*.c",)),
        ("+/#", ("*", "*.>")),
        ("/#", ("/", "/.>")),
        ("/+", ("/.*",)),
        ("a.b/+", ("a//b.*",)),
        ("$SYS/#", ("$SYS", "$SYS.>")),
        ("a/", ("a./",)),
    ],
)
def test_filters(topic_filter: str, subjects: tuple[str, ...]) -> None:
    assert filter_to_subjects(topic_filter) == subjects


@pytest.mark.parametrize("bad", ["", "a/#/b", "#/", "a#", "a+", "+a/b", "a b", "*", "a/>", ">/b"])
def test_what_is_no_filter(bad: str) -> None:
    with pytest.raises(ProtocolError):
        filter_to_subjects(bad)


levels = st.text(st.sampled_from("ab./é$"), max_size=4).map(lambda text: text.replace("/", ""))
topics = st.lists(levels, min_size=1, max_size=5).map("/".join).filter(bool)
patterns = st.lists(levels | st.just("+"), min_size=1, max_size=4).map("/".join).filter(bool)


@given(topics)
def test_every_topic_has_a_subject_of_its_own(topic: str) -> None:
    subject = topic_to_subject(topic)
    assert is_literal(subject)
    assert subject_to_topic(subject) == topic


@given(topics, patterns, st.sampled_from(["", "/#"]))
def test_filters_match_as_the_standard_says(topic: str, pattern: str, tail: str) -> None:
    """[4.7.1] level by level, on topics; and the same on subjects."""
    wanted, given_levels = (pattern + tail).split("/"), topic.split("/")
    if tail:
        wanted.pop()
        fits = len(given_levels) >= len(wanted)
    else:
        fits = len(given_levels) == len(wanted)
    fits = fits and all(w in ("+", g) for w, g in zip(wanted, given_levels, strict=False))
    subject = topic_to_subject(topic)
    assert any(matches(wide, subject) for wide in filter_to_subjects(pattern + tail)) == fits
